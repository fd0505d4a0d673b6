import { SluiceError } from '../../../core/errors.ts';

/** The store of sessions can't be opened; the message says why, and what to do. */
export class SessionStoreError extends SluiceError {}
