import { configureGlobal } from 'fast-check';

/**
 * Property tests draw from one seed, so that a run of `npm test` says the same twice. PROPERTY_SEED takes
 * another: a number, or `random`.
 */
const wanted = process.env.PROPERTY_SEED ?? '1';
if (wanted !== 'random') configureGlobal({ seed: Number(wanted) });
