/**
 * How Node runs Sluice. V8's young generation grows up to 2 x 64 MiB by default and keeps what it has. An eighth of
 * that takes half the resident memory, and no more processor time (docs/performance.md). The first line of sluice.js and the Dockerfile say the same.
 *
 * @type {readonly string[]}
 */
export const NODE_OPTIONS = ['--max-semi-space-size=8'];
