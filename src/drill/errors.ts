import { SluiceError } from '../core/errors.ts';

/** A drill that could not be carried out, which says nothing about the gateway's promises. Codes begin with `DRILL_`. */
export class DrillError extends SluiceError {}
