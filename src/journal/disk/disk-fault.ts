import { errorMessage } from '../../core/errors.ts';
import type { DiskFault } from './disk-port.ts';
import { systemCode } from '../errors.ts';

/** A failed operation that says in which directory. */
export class DiskFaultError extends Error {
  readonly fault: DiskFault;

  constructor(fault: DiskFault, options?: ErrorOptions) {
    super(fault.message, options);
    this.name = 'DiskFaultError';
    this.fault = fault;
  }
}

export function faultOf(error: unknown, directory: string): DiskFault {
  if (error instanceof DiskFaultError) return error.fault;
  return { code: systemCode(error), directory, message: errorMessage(error) };
}
