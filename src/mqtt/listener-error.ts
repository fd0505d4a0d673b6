import { errorMessage, SluiceError } from '../core/errors.ts';

const CHANGE = 'change mqtt.listeners in the configuration';

/** What a server's failure to listen means to a person. */
export function listenError(error: NodeJS.ErrnoException, address: string): SluiceError {
  const cause = { cause: error };
  const failed = `MQTT can't listen on ${address}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new SluiceError(
        'LISTENER_PORT_IN_USE',
        `${failed}: another process has this port. Stop it, or ${CHANGE}.`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
      return new SluiceError(
        'LISTENER_NOT_PERMITTED',
        address.startsWith('/')
          ? `${failed}: this user may not write there. To fix it, ${CHANGE}.`
          : `${failed}: this user may not. Choose a port above 1023: ${CHANGE}.`,
        cause,
      );
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new SluiceError(
        'LISTENER_ADDRESS_UNKNOWN',
        `${failed}: this machine has no such address. To fix it, ${CHANGE}.`,
        cause,
      );
    default:
      return new SluiceError('LISTENER_FAILED', `${failed}: ${errorMessage(error)}`, cause);
  }
}
