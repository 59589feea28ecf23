// Verifies Gardu batches with Node.js alone; shares no code with Gardu. Written from docs/wire-format.md.
//
//   node verify.mjs < jobs.jsonl     a job is {city, node, public_key_hex, messages_hex: [...]}, one to a line
//
// Answers one line each: {"ok": true, "rows": 3, "hash": "..."} (hash of the last batch) or
// {"ok": false, "reason": "...", "at": 0}. With several messages prev must link them, in the order given.

import { createHash, createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";
import { inflateRawSync } from "node:zlib";

class Refused extends Error {}
const refuse = (reason) => { throw new Refused(reason); };
const need = (held, reason) => held || refuse(reason);

const LIMIT = 256 * 1024;
const ZERO = Buffer.alloc(32).toString("hex");
const sha256 = (data) => createHash("sha256").update(data).digest();

// -- CBOR, the deterministic part that Gardu uses (RFC 8949 section 4.2.1): integers up to 2^53, strings, arrays,
// maps with ascending integer keys, tag 18, false, true, null. Anything else, or the same otherwise written, is refused.

class Reader {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }

  take(length) {
    need(this.at + length <= this.bytes.length, "form");
    return this.bytes.subarray(this.at, (this.at += length));
  }

  argument(info) {
    if (info < 24) return info;
    need(info <= 27, "form"); // 28 to 30 mean nothing, 31 is an indefinite length
    const width = 1 << (info - 24);
    const bytes = this.take(width);
    const value = width === 8 ? Number(bytes.readBigUInt64BE()) : bytes.readUIntBE(0, width);
    need(value <= Number.MAX_SAFE_INTEGER, "form");
    need(value >= (width === 1 ? 24 : 2 ** (width * 4)), "not_canonical");
    return value;
  }

  item(depth = 0) {
    need(depth < 8, "form");
    const head = this.take(1)[0];
    const major = head >> 5;
    if (major === 7) return head === 0xf4 ? false : head === 0xf5 ? true : head === 0xf6 ? null : refuse("form");
    const value = this.argument(head & 31);
    if (major === 0) return value;
    if (major === 1) return -1 - value;
    if (major === 2) return this.take(value);
    if (major === 3) return this.text(this.take(value));
    if (major === 4) return this.many(value, () => this.item(depth + 1));
    if (major === 6) return { tag: value, value: this.item(depth + 1) };
    const map = new Map();
    let last = Buffer.alloc(0);
    this.many(value, () => {
      const start = this.at;
      const key = this.item(depth + 1);
      const written = this.bytes.subarray(start, this.at);
      need(Number.isInteger(key) && !map.has(key), "form");
      need(Buffer.compare(last, written) < 0, "not_canonical");
      last = written;
      map.set(key, this.item(depth + 1));
    });
    return map;
  }

  many(count, read) {
    need(count <= this.bytes.length, "form");
    return Array.from({ length: count }, read);
  }

  text(bytes) {
    try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes); } catch { return refuse("form"); }
  }
}

function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.item();
  need(reader.at === bytes.length, "not_canonical");
  return value;
}

function head(major, length) {
  if (length < 24) return Buffer.from([(major << 5) | length]);
  if (length < 256) return Buffer.from([(major << 5) | 24, length]);
  const wide = length >= 65536;
  const found = Buffer.alloc(wide ? 5 : 3);
  found[0] = (major << 5) | (wide ? 26 : 25);
  if (wide) found.writeUInt32BE(length, 1); else found.writeUInt16BE(length, 1);
  return found;
}
const bstr = (bytes) => Buffer.concat([head(2, bytes.length), bytes]);
const tstr = (text) => Buffer.concat([head(3, Buffer.byteLength(text)), Buffer.from(text)]);
const list = (...items) => Buffer.concat([head(4, items.length), ...items]);

// -- the message ------------------------------------------------------------------------------------------------------

const array = (value, length) => (Array.isArray(value) && value.length === length ? value : refuse("form"));
const bytes = (value, length) =>
  (Buffer.isBuffer(value) && (length === undefined || value.length === length) ? value : refuse("form"));
const uint = (value, most = Number.MAX_SAFE_INTEGER) =>
  (Number.isInteger(value) && value >= 0 && value <= most ? value : refuse("form"));

function fields(value, required, optional = []) {
  need(value instanceof Map, "form");
  need(required.every((key) => value.has(key)), "form");
  need([...value.keys()].every((key) => required.includes(key) || optional.includes(key)), "form");
  return value;
}

function checkHeader(map) {
  fields(map, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [14]);
  const [kind, stream, n] = [uint(map.get(1), 6), uint(map.get(3), 1), uint(map.get(4))];
  const prev = bytes(map.get(5), 32).toString("hex");
  const [bootMs, utcMs] = array(map.get(10), 2);
  const [count, seq0, clock] = [uint(map.get(8)), uint(map.get(9)), uint(map.get(11), 6)];
  const [run, origin] = [bytes(map.get(6), 16), map.get(14)];
  bytes(map.get(7), 16); bytes(map.get(13), 32); uint(map.get(12), 1); uint(bootMs);
  if (utcMs !== null) uint(utcMs);
  need(typeof map.get(2) === "string" && /^[a-z0-9][a-z0-9_-]{0,31}\/[a-z0-9][a-z0-9_-]{0,31}$/.test(map.get(2)), "form");
  need(kind === 3 ? stream === 1 : kind < 4 || stream === 0, "form");
  need(clock !== 3 && (clock % 4 === 2) === (utcMs === null), "form");
  need(n > 0 && seq0 > 0 && seq0 + count <= Number.MAX_SAFE_INTEGER, "form");
  need((n === 1) === (prev === ZERO) && (n === 1) === (kind === 1), "form");
  need(kind === 0 || (count === 0 && origin === undefined), "form");
  if (origin !== undefined) need(bytes(origin, 16) && clock === 2, "form");
  return { kind, node: map.get(2), stream, n, prev, run: run.toString("hex"), count, coding: map.get(12), digest: map.get(13) };
}

function open(message, { city, node, public_key_hex }) {
  need(message.length <= LIMIT, "size");
  const [version, sign1, body] = array(decode(message), 3);
  need(uint(version) === 1, "version");
  const tagged = decode(bytes(sign1));
  bytes(body);
  need(tagged.tag === 18, "form");
  const [protectedBytes, unprotected, payload, signature] = array(tagged.value, 4);
  fields(unprotected, []);
  const heads = fields(decode(bytes(protectedBytes)), [1, 4]);
  need(heads.get(1) === -8 || heads.get(1) === -19, "algorithm");
  const kid = bytes(heads.get(4), 8);
  bytes(payload); bytes(signature, 64);

  const raw = Buffer.from(public_key_hex, "hex");
  need(kid.equals(sha256(raw).subarray(0, 8)), "kid_unknown");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });
  const aad = list(...["gardu1", "batch", city, node].map(tstr));
  const signed = list(tstr("Signature1"), bstr(protectedBytes), bstr(aad), bstr(payload));
  need(verify(null, signed, key, signature), "signature");

  const header = checkHeader(decode(payload));
  need(header.node === `${city}/${node}`, "node");
  need(sha256(body).equals(header.digest), "digest");
  const plain = header.coding ? inflate(body) : body;
  let value;
  try { value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plain)); } catch { refuse("body"); }
  if (header.kind === 0) {
    need(Array.isArray(value), "body");
    need(value.filter((record) => record !== null && typeof record === "object" && !("n" in record)).length === header.count, "count");
  } else need(value !== null && typeof value === "object" && !Array.isArray(value), "body");
  return { ...header, hash: sha256(sign1).toString("hex"), gaps: header.kind === 2 ? value.chains : [] };
}

function inflate(body) {
  try {
    const { buffer, engine } = inflateRawSync(body, { maxOutputLength: LIMIT, info: true });
    need(engine.bytesWritten === body.length, "coding");
    return buffer;
  } catch (error) {
    return refuse(error instanceof Refused ? error.message : error.code === "ERR_BUFFER_TOO_LARGE" ? "size" : "coding");
  }
}

function judge(job) {
  const ends = new Map(); // "run stream" -> n and hash that the next batch must continue
  const gaps = [];
  const batches = job.messages_hex.map((hex, at) => {
    try { return open(Buffer.from(hex, "hex"), job); } catch (error) {
      if (error instanceof Refused) throw Object.assign(error, { at });
      throw error;
    }
  });
  for (const batch of batches) for (const [run, from, to, prev, hash] of batch.gaps) gaps.push({ run, stream: batch.stream, from, to, prev, hash });
  batches.forEach((batch, at) => {
    const chain = `${batch.run} ${batch.stream}`;
    let end = ends.get(chain);
    const gap = end && gaps.find((one) => one.run === batch.run && one.stream === batch.stream && one.from === end.n + 1);
    if (gap && batch.n > gap.from && gap.prev === end.hash) end = { n: gap.to, hash: gap.hash };
    if (end && (batch.n !== end.n + 1 || batch.prev !== end.hash)) throw Object.assign(new Refused("chain"), { at });
    ends.set(chain, { n: batch.n, hash: batch.hash });
  });
  return { ok: true, rows: batches.reduce((sum, batch) => sum + batch.count, 0), hash: batches.at(-1).hash };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try { answer = judge(JSON.parse(line)); } catch (error) {
    if (!(error instanceof Refused)) throw error;
    answer = { ok: false, reason: error.message, at: error.at };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
