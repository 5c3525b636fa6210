// The byte order: little-endian on x86-64 and arm64, and big-endian on s390x. It is determined when the executable is built.

export const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Places of the low and the high word of a 64-bit number, in words. */
export const LOW = LITTLE_ENDIAN ? 0 : 1;
export const HIGH = 1 - LOW;
