import { ProducerError } from '../errors.ts';

/**
 * The registry did not do what was asked. The codes:
 * SCHEMA_REGISTRY_UNAVAILABLE (no connection, no answer in time, 408, 429 or 5xx, after all retries; retriable),
 * SCHEMA_REGISTRY_UNAUTHORIZED (401, 403), SCHEMA_NOT_FOUND (404), SCHEMA_INCOMPATIBLE (409), SCHEMA_INVALID (422),
 * SCHEMA_REGISTRY_REFUSED (any other status), SCHEMA_REGISTRY_BAD_ANSWER (an answer that is not the registry's API),
 * SCHEMA_REGISTRY_CLOSED.
 */
export class SchemaRegistryError extends ProducerError {
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;
  /** The registry's own `error_code`, e.g. 40403; undefined if it gave none. */
  readonly registryCode: number | undefined;

  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly status?: number; readonly registryCode?: number | undefined },
  ) {
    super(code, message, { ...options, retriable: code === 'SCHEMA_REGISTRY_UNAVAILABLE' });
    this.status = options?.status;
    this.registryCode = options?.registryCode;
  }
}

/** Statuses after which the same request may succeed later. */
export function isRetriableStatus(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** The error for an answer that is no success. `request` is e.g. `register a schema under 'orders-value'`. */
export function refusal(request: string, url: string, status: number, body: unknown): SchemaRegistryError {
  const { error_code: registryCode, message } = (body ?? {}) as { error_code?: unknown; message?: unknown };
  const said = typeof message === 'string' ? `: ${message}` : '';
  return new SchemaRegistryError(
    codeOf(status),
    `can't ${request}: the schema registry at ${url} answered ${status}${said}${advice(status)}`,
    { status, registryCode: typeof registryCode === 'number' ? registryCode : undefined },
  );
}

function codeOf(status: number): string {
  if (isRetriableStatus(status)) return 'SCHEMA_REGISTRY_UNAVAILABLE';
  switch (status) {
    case 401:
    case 403:
      return 'SCHEMA_REGISTRY_UNAUTHORIZED';
    case 404:
      return 'SCHEMA_NOT_FOUND';
    case 409:
      return 'SCHEMA_INCOMPATIBLE';
    case 422:
      return 'SCHEMA_INVALID';
    default:
      return 'SCHEMA_REGISTRY_REFUSED';
  }
}

function advice(status: number): string {
  if (status === 401) return ' (check the credentials)';
  if (status === 409) return " (change the schema, or the subject's compatibility level)";
  return '';
}
