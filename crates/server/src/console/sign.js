// Signature version 1, in the browser: the secret never leaves the page. Written out because the
// browser's own cryptography is missing on pages that came over plain HTTP.

/** Rotates a 32-bit word to the left. */
const rotate = (word, bits) => (word << bits) | (word >>> (32 - bits));

/** The SHA-1 digest of some bytes. */
export function sha1(bytes) {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);

  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const words = new Int32Array(80);
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i += 1) words[i] = view.getInt32(block + 4 * i);
    for (let i = 16; i < 80; i += 1) {
      words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    let [a, b, c, d, e] = state;
    for (let i = 0; i < 80; i += 1) {
      const [mixed, constant] = round(i, b, c, d);
      const next = (rotate(a, 5) + mixed + e + constant + words[i]) | 0;
      [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
    }
    [a, b, c, d, e].forEach((word, index) => {
      state[index] = (state[index] + word) | 0;
    });
  }
  const digest = new DataView(new ArrayBuffer(20));
  state.forEach((word, index) => digest.setInt32(4 * index, word));
  return new Uint8Array(digest.buffer);
}

/** The function and the constant of a round. */
function round(index, b, c, d) {
  if (index < 20) return [(b & c) | (~b & d), 0x5a827999];
  if (index < 40) return [b ^ c ^ d, 0x6ed9eba1];
  if (index < 60) return [(b & c) | (b & d) | (c & d), 0x8f1bbcdc];
  return [b ^ c ^ d, 0xca62c1d6];
}

/** HMAC-SHA1 of a message, key and message as bytes. */
export function hmacSha1(key, message) {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha1(key) : key);
  const padded = (pad, rest) => {
    const bytes = new Uint8Array(64 + rest.length);
    bytes.set(block.map((byte) => byte ^ pad));
    bytes.set(rest, 64);
    return bytes;
  };
  return sha1(padded(0x5c, sha1(padded(0x36, message))));
}

/** Percent-encoding as signatures want it: UTF-8, only letters, digits and -_.~ stay. */
export function encode(text) {
  const rest = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, rest);
}

/** Parameters as a query or a form, in the order that they have. */
export function joined(parameters) {
  return parameters.map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
}

/** Orders names by their bytes, as signatures want them. */
function byBytes([one], [other]) {
  const encoder = new TextEncoder();
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

/** The text that is signed. */
export function stringToSign(method, parameters) {
  const signed = parameters.filter(([name]) => name !== "Signature").sort(byBytes);
  return `${method}&%2F&${encode(joined(signed))}`;
}

/** The value of the parameter Signature. */
export function signature(method, parameters, secret) {
  const bytes = (text) => new TextEncoder().encode(text);
  const digest = hmacSha1(bytes(`${secret}&`), bytes(stringToSign(method, parameters)));
  return btoa(String.fromCharCode(...digest));
}

/** A text that was never used before with this key. */
export function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A time as the API writes it. */
export const utc = (time = new Date()) => `${time.toISOString().slice(0, 19)}Z`;

/**
 * All parameters of a call, signed. `credentials` has `id`, `secret` and, for temporary ones,
 * `token`; `own` are the action's parameters as pairs.
 */
export function signedCall({ action, version, format, method, own, credentials }) {
  const all = [
    ["Action", action],
    ["Version", version],
    ["Format", format],
    ["AccessKeyId", credentials.id],
    ["SignatureMethod", "HMAC-SHA1"],
    ["SignatureVersion", "1.0"],
    ["SignatureNonce", nonce()],
    ["Timestamp", utc()],
  ];
  if (credentials.token) all.push(["SecurityToken", credentials.token]);
  all.push(...own);
  all.push(["Signature", signature(method, all, credentials.secret)]);
  return all;
}
