/** A promise and what settles it. */

/** Node 20 has no Promise.withResolvers. */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((...settle) => {
    [resolve, reject] = settle;
  });
  return {promise, resolve, reject};
}
