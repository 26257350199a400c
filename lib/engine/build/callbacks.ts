/** The caller's functions, called from events: what they throw ends the build and reaches the caller. */

export class Callbacks {
  readonly #failing = new AbortController();
  #failure: {error: unknown} | undefined;
  /** Fires with the caller's own, and when one of the functions threw. */
  readonly signal: AbortSignal;

  constructor(signal: AbortSignal | undefined) {
    this.signal = signal === undefined ? this.#failing.signal : AbortSignal.any([signal, this.#failing.signal]);
  }

  guard<T>(callback: ((argument: T) => void) | undefined): ((argument: T) => void) | undefined {
    if (callback === undefined) return undefined;
    return (argument) => {
      // Once is enough, and the build is on its way out.
      if (this.#failure !== undefined) return;
      try {
        callback(argument);
      } catch (error) {
        this.#failure = {error};
        this.#failing.abort(error);
      }
    };
  }

  /** Runs `work`; throws what a function threw rather than the AbortError that came of it. */
  async around<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      if (this.#failure !== undefined) throw this.#failure.error;
      return result;
    } catch (error) {
      throw this.#failure === undefined ? error : this.#failure.error;
    }
  }
}
