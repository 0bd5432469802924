// Generated from models/task_payload.py by `make contracts`. Do not edit.
// ...Wire: one element of the queue, as JSON on the wire. Without Wire: the same task as the platform holds it.
// Serialise the camelCase form to the wire form with the same values under snake_case names, and LPUSH its
// JSON to the list wearon:tasks:generation.

/**
 * One try-on generation, as the platform asks for it. Types are strict (`"1"` is not `1`); unknown extra keys are ignored, so that the producer may add some before the worker knows them.
 */
export type GenerationTaskWire = B2BGenerationTaskWire | B2CGenerationTaskWire;

/**
 * A task of a store; it must name the store (FR-6.3).
 */
export interface B2BGenerationTaskWire {
  /**
   * Identifies this task.
   */
  task_id: string;
  /**
   * The session row the producer inserted with status 'queued'.
   */
  session_id: string;
  /**
   * First = person, second = outfit, rest = accessories.
   *
   * @minItems 1
   * @maxItems 10
   */
  image_urls: string[];
  /**
   * What to make; may be empty.
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   */
  request_id: string;
  /**
   * Payload version.
   */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   */
  created_at: string;
  /**
   * Which product the task came from.
   */
  channel: "b2b";
  /**
   * Owner of the task.
   */
  store_id: string;
  /**
   * Absent or null; only b2c tasks have one.
   */
  user_id?: string | null;
}
/**
 * A task of a user of the app; it must name the user (FR-6.3).
 */
export interface B2CGenerationTaskWire {
  /**
   * Identifies this task.
   */
  task_id: string;
  /**
   * The session row the producer inserted with status 'queued'.
   */
  session_id: string;
  /**
   * First = person, second = outfit, rest = accessories.
   *
   * @minItems 1
   * @maxItems 10
   */
  image_urls: string[];
  /**
   * What to make; may be empty.
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   */
  request_id: string;
  /**
   * Payload version.
   */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   */
  created_at: string;
  /**
   * Which product the task came from.
   */
  channel: "b2c";
  /**
   * Owner of the task.
   */
  user_id: string;
  /**
   * Absent or null; only b2b tasks have one.
   */
  store_id?: string | null;
}

/**
 * One try-on generation, as the platform asks for it. Types are strict (`"1"` is not `1`); unknown extra keys are ignored, so that the producer may add some before the worker knows them.
 */
export type GenerationTask = B2BGenerationTask | B2CGenerationTask;

/**
 * A task of a store; it must name the store (FR-6.3).
 */
export interface B2BGenerationTask {
  /**
   * Identifies this task.
   */
  taskId: string;
  /**
   * The session row the producer inserted with status 'queued'.
   */
  sessionId: string;
  /**
   * First = person, second = outfit, rest = accessories.
   *
   * @minItems 1
   * @maxItems 10
   */
  imageUrls: string[];
  /**
   * What to make; may be empty.
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   */
  requestId: string;
  /**
   * Payload version.
   */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   */
  createdAt: string;
  /**
   * Which product the task came from.
   */
  channel: "b2b";
  /**
   * Owner of the task.
   */
  storeId: string;
  /**
   * Absent or null; only b2c tasks have one.
   */
  userId?: string | null;
}
/**
 * A task of a user of the app; it must name the user (FR-6.3).
 */
export interface B2CGenerationTask {
  /**
   * Identifies this task.
   */
  taskId: string;
  /**
   * The session row the producer inserted with status 'queued'.
   */
  sessionId: string;
  /**
   * First = person, second = outfit, rest = accessories.
   *
   * @minItems 1
   * @maxItems 10
   */
  imageUrls: string[];
  /**
   * What to make; may be empty.
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   */
  requestId: string;
  /**
   * Payload version.
   */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   */
  createdAt: string;
  /**
   * Which product the task came from.
   */
  channel: "b2c";
  /**
   * Owner of the task.
   */
  userId: string;
  /**
   * Absent or null; only b2b tasks have one.
   */
  storeId?: string | null;
}
