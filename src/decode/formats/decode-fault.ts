import type { DecodeFault } from '../../core/route.ts';

/*
 * Why a payload becomes a dead letter. The codes are stable: they stand in headers and metrics.
 */

/** The payload has no bytes, where the decoder needs some. */
export const PAYLOAD_EMPTY: DecodeFault = {
  code: 'PAYLOAD_EMPTY',
  message: 'the payload is empty',
};

/** The payload is not what the profile's decoder reads. */
export function decodeFailed(message: string): DecodeFault {
  return { code: 'DECODE_FAILED', message };
}

/** More readings than one payload may hold. */
export function tooManyReadings(found: number, limit: number): DecodeFault {
  return { code: 'BATCH_TOO_LARGE', message: `the payload has ${found} readings, more than ${limit}` };
}

/** A field without which there is no record is absent. */
export function fieldMissing(what: string, source: string): DecodeFault {
  return { code: 'FIELD_MISSING', message: `no ${what}: ${source} is absent or empty` };
}

/** A field holds a value of a type that can't be what the profile says it is. */
export function fieldType(field: string, found: string, expected: string): DecodeFault {
  return { code: 'FIELD_TYPE', message: `field ${field} holds ${found}, expected ${expected}` };
}

/** A field's value is longer than its limit. */
export function fieldTooLong(what: string, bytes: number, limit: number): DecodeFault {
  return { code: 'FIELD_TOO_LONG', message: `the ${what} has ${bytes} bytes, more than ${limit}` };
}

/** The decoder itself went wrong, whatever the payload was: a fault of Sluice. */
export function decoderError(message: string): DecodeFault {
  return { code: 'DECODER_ERROR', message: `the decoder failed, please report it: ${message}` };
}
