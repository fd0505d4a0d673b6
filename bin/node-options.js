/**
 * How Node runs Sluice. V8's young generation grows up to 2 x 64 MiB by default and keeps what it has; a sixteenth of
 * that takes less than half the resident memory, and no more processor time. `sluice run` collects the garbage of its own
 * start, for which it must be able to say so (docs/performance.md). The first line of sluice.js and the Dockerfile say the same.
 *
 * @type {readonly string[]}
 */
export const NODE_OPTIONS = ['--max-semi-space-size=4', '--expose-gc'];

/**
 * And with what environment, where it has no value of its own: the C library's allocator gives each of Node's threads
 * an arena of its own by default, none of which gives back what another one could use: 15 MB under load.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const NODE_ENVIRONMENT = { MALLOC_ARENA_MAX: '1' };
