/**
 * How Node runs Sluice. V8's young generation grows up to 2 x 64 MiB by default and keeps what it has; at half
 * the resident memory of a gateway that is a quarter of its default, and costs no measurable processor time
 * (docs/performance.md). The first line of sluice.js and the Dockerfile say the same.
 *
 * @type {readonly string[]}
 */
export const NODE_OPTIONS = ['--max-semi-space-size=16'];
