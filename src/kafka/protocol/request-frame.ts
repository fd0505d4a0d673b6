import type { ApiVersion } from './api-versions.ts';

/** size int32, request_api_key int16, request_api_version int16, correlation_id int32, client_id's length int16 */
const FIXED_HEADER_BYTES = 14;

/**
 * Pieces of this size are written from where they are; smaller ones are copied into one buffer, because each piece
 * of its own costs an object in Node and an entry of writev().
 */
const WRITTEN_IN_PLACE_BYTES = 4_096;

/**
 * A request as it goes over the wire, in as few pieces as that takes: size, request header 1 or 2 (Kafka protocol
 * guide, "Request Headers"), body. Large pieces of the body are not copied: they must stay as they are until the
 * request is answered, or handed over.
 *
 * @param clientId in UTF-8
 */
export function encodeRequest(
  api: ApiVersion,
  correlationId: number,
  clientId: Uint8Array,
  body: readonly Uint8Array[],
): Uint8Array[] {
  const headerBytes = FIXED_HEADER_BYTES + clientId.length + (api.requestTags ? 1 : 0);
  let bodyBytes = 0;
  let copiedBytes = 0;
  for (const { length } of body) {
    bodyBytes += length;
    if (length < WRITTEN_IN_PLACE_BYTES) copiedBytes += length;
  }
  const copy = Buffer.allocUnsafe(headerBytes + copiedBytes);
  copy.writeInt32BE(headerBytes - 4 + bodyBytes, 0);
  copy.writeInt16BE(api.key, 4);
  copy.writeInt16BE(api.version, 6);
  copy.writeInt32BE(correlationId, 8);
  copy.writeInt16BE(clientId.length, 12);
  copy.set(clientId, FIXED_HEADER_BYTES);
  if (api.requestTags) copy.writeUInt8(0, headerBytes - 1); // no tagged fields

  const pieces: Uint8Array[] = [];
  let written = 0;
  let end = headerBytes;
  for (const piece of body) {
    if (piece.length < WRITTEN_IN_PLACE_BYTES) {
      copy.set(piece, end);
      end += piece.length;
    } else {
      if (end > written) pieces.push(copy.subarray(written, end));
      pieces.push(piece);
      written = end;
    }
  }
  if (end > written) pieces.push(copy.subarray(written, end));
  return pieces;
}
