/** What a backend pushes, for a consumer that pulls. */

import type {BackendFinish, BackendListener, BackendTimings, TokenEvent} from '../backend/backend.js';

export interface Ended {
  reason: BackendFinish;
  timings: BackendTimings;
}

export class EventQueue implements BackendListener {
  private events: TokenEvent[] = [];
  private end: Ended | undefined;
  private error: Error | undefined;
  private wake: (() => void) | undefined;

  /** All tokens that came since the last call, or how the request ended once there are none left. Throws its error. */
  async next(): Promise<TokenEvent[] | Ended> {
    for (;;) {
      if (this.error !== undefined) throw this.error;
      if (this.events.length > 0) {
        const batch = this.events;
        this.events = [];
        return batch;
      }
      if (this.end !== undefined) return this.end;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  tokens(batch: readonly TokenEvent[]): void {
    this.events.push(...batch);
    this.wake?.();
  }

  finished(reason: BackendFinish, timings: BackendTimings): void {
    this.end = {reason, timings};
    this.wake?.();
  }

  failed(error: Error): void {
    this.error ??= error;
    this.wake?.();
  }
}
