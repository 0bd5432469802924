// What the compiler lets a producer write and what it does not: a line below "@ts-expect-error" must be refused.
import type { GenerationTask, GenerationTaskWire } from "./generation-task";

const shared = {
  taskId: "7b1f3c52-63a5-4a0e-9a53-9d1c6d0f0a01",
  sessionId: "0e3f7d8a-2f4b-4f5e-8b1d-3c6a5e9f2b02",
  imageUrls: ["https://shop.example/person.jpg"],
  prompt: "",
  requestId: "req_1",
  version: 1,
  createdAt: new Date().toISOString(),
} as const satisfies Partial<Record<keyof GenerationTask, unknown>>;
const task = { ...shared, imageUrls: [...shared.imageUrls] as string[] };

export const accepted: GenerationTask[] = [
  { ...task, channel: "b2c", userId: "user" },
  { ...task, channel: "b2b", storeId: "store" },
  { ...task, channel: "b2c", userId: "user", storeId: null },
];

export const refused: GenerationTask[] = [
  // @ts-expect-error no channel
  { ...task, userId: "user" },
  // @ts-expect-error an unknown channel
  { ...task, channel: "b2x", userId: "user" },
  // @ts-expect-error a b2c task without its user
  { ...task, channel: "b2c" },
  // @ts-expect-error a b2b task with a user instead of its store
  { ...task, channel: "b2b", userId: "user" },
  // @ts-expect-error a null for the owner
  { ...task, channel: "b2b", storeId: null },
  // @ts-expect-error a version this worker does not understand
  { ...task, channel: "b2c", userId: "user", version: 2 },
  // @ts-expect-error one URL instead of a list
  { ...task, channel: "b2c", userId: "user", imageUrls: "https://shop.example/person.jpg" },
  // @ts-expect-error a Date instead of its text
  { ...task, channel: "b2c", userId: "user", createdAt: new Date() },
  // @ts-expect-error a misspelt name
  { ...task, channel: "b2c", userId: "user", imageURLs: [] },
];

export function ownerOf(one: GenerationTask): string {
  return one.channel === "b2b" ? one.storeId : one.userId; // the channel tells which owner is there
}

// @ts-expect-error the form with camelCase names is not what goes into the queue
export const serialised: GenerationTaskWire = accepted[0];
