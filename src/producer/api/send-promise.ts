/**
 * The promise of `send()`. It knows whether anybody looks at it, so that a failed send that nobody awaits is
 * counted and logged instead of ending the process as an unhandled rejection.
 */
export class SendPromise<T> extends Promise<T> {
  /** Somebody awaits it, or attached a handler. */
  observed = false;

  /** What is derived from it is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.observed = true;
    return super.then(onFulfilled, onRejected);
  }

  /** To be called before it is rejected: whoever observes it hears of the rejection nevertheless. */
  tolerateRejection(): void {
    super.then(undefined, () => {});
  }
}
