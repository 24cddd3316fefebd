// Bytes as the specification writes them: hex, little-endian integers, and blake3 with its domain prefixes.

import { blake3 } from "../vendor/noble/blake3.js";

export { blake3 };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// text: an even number of lowercase hex digits, checked before.
export function unhex(text) {
  return Uint8Array.from({ length: text.length / 2 }, (_, n) => parseInt(text.slice(2 * n, 2 * n + 2), 16));
}

export function utf8(text) {
  return encoder.encode(text);
}

// Throws TypeError for what is not UTF-8.
export function text(bytes) {
  return decoder.decode(bytes);
}

export function joined(...pieces) {
  const all = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, n) => byte === other[n]);
}

export function u16(value) {
  return Uint8Array.of(value & 0xff, value >> 8);
}

// value: a BigInt.
export function u64(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

export function view(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
