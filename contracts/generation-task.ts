// Generated from models/task_payload.py by `make contracts`. Do not edit.
// Serialise the camelCase form to the wire form with the same values under snake_case names, and LPUSH its
// JSON to the list wearon:tasks:generation.

/** What tasks of both channels have. */
interface GenerationTaskWireBase {
  /**
   * Identifies this task.
   * @format uuid
   */
  task_id: string;
  /**
   * The session row the producer inserted with status 'queued'.
   * @format uuid
   */
  session_id: string;
  /**
   * First = person, second = outfit, rest = accessories.
   * @minItems 1
   * @maxItems 10
   */
  image_urls: string[];
  /**
   * What to make; may be empty.
   * @maxLength 32000
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   * @minLength 1
   * @maxLength 256
   */
  request_id: string;
  /** Payload version. */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   * @format date-time
   */
  created_at: string;
}

/** A task of channel b2b. */
export interface B2bGenerationTaskWire extends GenerationTaskWireBase {
  /** Which product the task came from; decides table, owner and storage path. */
  channel: "b2b";
  /**
   * Owner of a b2b task; absent or null for b2c.
   * @format uuid
   */
  store_id: string;
  /**
   * Owner of a b2c task; absent or null for b2b.
   * @format uuid
   */
  user_id?: null;
}

/** A task of channel b2c. */
export interface B2cGenerationTaskWire extends GenerationTaskWireBase {
  /** Which product the task came from; decides table, owner and storage path. */
  channel: "b2c";
  /**
   * Owner of a b2b task; absent or null for b2c.
   * @format uuid
   */
  store_id?: null;
  /**
   * Owner of a b2c task; absent or null for b2b.
   * @format uuid
   */
  user_id: string;
}

/**
 * One element of the queue, as JSON on the wire. One try-on generation, as the platform asks for it. Types are strict
 * (`"1"` is not `1`); unknown extra keys are ignored, so that the producer may add some before the worker knows them. A
 * b2b task must name its store and a b2c task its user (FR-6.3).
 */
export type GenerationTaskWire = B2bGenerationTaskWire | B2cGenerationTaskWire;

/** What tasks of both channels have. */
interface GenerationTaskBase {
  /**
   * Identifies this task.
   * @format uuid
   */
  taskId: string;
  /**
   * The session row the producer inserted with status 'queued'.
   * @format uuid
   */
  sessionId: string;
  /**
   * First = person, second = outfit, rest = accessories.
   * @minItems 1
   * @maxItems 10
   */
  imageUrls: string[];
  /**
   * What to make; may be empty.
   * @maxLength 32000
   */
  prompt: string;
  /**
   * Correlation id; for b2b also the idempotency key of the credit transaction.
   * @minLength 1
   * @maxLength 256
   */
  requestId: string;
  /** Payload version. */
  version: 1;
  /**
   * When the producer made the task; ISO 8601 with a time zone.
   * @format date-time
   */
  createdAt: string;
}

/** A task of channel b2b. */
export interface B2bGenerationTask extends GenerationTaskBase {
  /** Which product the task came from; decides table, owner and storage path. */
  channel: "b2b";
  /**
   * Owner of a b2b task; absent or null for b2c.
   * @format uuid
   */
  storeId: string;
  /**
   * Owner of a b2c task; absent or null for b2b.
   * @format uuid
   */
  userId?: null;
}

/** A task of channel b2c. */
export interface B2cGenerationTask extends GenerationTaskBase {
  /** Which product the task came from; decides table, owner and storage path. */
  channel: "b2c";
  /**
   * Owner of a b2b task; absent or null for b2c.
   * @format uuid
   */
  storeId?: null;
  /**
   * Owner of a b2c task; absent or null for b2b.
   * @format uuid
   */
  userId: string;
}

/**
 * The same task as the platform holds it. One try-on generation, as the platform asks for it. Types are strict (`"1"`
 * is not `1`); unknown extra keys are ignored, so that the producer may add some before the worker knows them. A b2b
 * task must name its store and a b2c task its user (FR-6.3).
 */
export type GenerationTask = B2bGenerationTask | B2cGenerationTask;
