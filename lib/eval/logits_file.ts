/**
 * An original's logits on disk, so that several models are held against it and it is loaded once: a JSON header, padded with
 * spaces to HEADER_BYTES, then rows of float32, one a scored token.
 */

import {createHash} from 'node:crypto';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';

import {OptionError} from '../errors.js';
import {replaceFile} from '../replace_file.js';
import type {EvaluatedModel} from './types.js';

const HEADER_BYTES = 65_536;
const FORMAT = 'tensorrt-node logits 1';

interface Header {
  format: typeof FORMAT;
  key: string;
  vocabSize: number;
  rows: number;
  model: EvaluatedModel;
}

/** What logits depend on. */
export interface LogitsOf {
  source: string;
  modelPath: string;
  load: object;
  tokens: Uint32Array;
  window: number;
  stride: number;
}

export async function logitsKey({source, modelPath, load, tokens, window, stride}: LogitsOf): Promise<string> {
  const {mtimeMs, size} = await stat(modelPath);
  return createHash('sha256')
    .update(JSON.stringify({source: resolve(source), modelPath, mtimeMs, size, load, window, stride}))
    .update(tokens)
    .digest('hex');
}

/** Rows in the order they were written. */
export class LogitsReader implements AsyncDisposable {
  private row = 0;

  private constructor(
    private readonly file: FileHandle,
    private readonly header: Header,
  ) {}

  /** Undefined where there is no file, or one of another key. Throws OptionError for a file that is something else. */
  static async open(path: string, key: string): Promise<LogitsReader | undefined> {
    const file = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      const header = await readHeader(file);
      if (header === undefined) throw new OptionError('logits', 'a path where nothing is, or logits of an earlier evaluation', path);
      if (header.key === key) return new LogitsReader(file, header);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return undefined;
  }

  get model(): EvaluatedModel {
    return this.header.model;
  }

  get vocabSize(): number {
    return this.header.vocabSize;
  }

  /** The next `count` rows. */
  async read(count: number): Promise<Float32Array> {
    const {vocabSize} = this.header;
    const rows = new Float32Array(count * vocabSize);
    const bytes = new Uint8Array(rows.buffer);
    const at = HEADER_BYTES + this.row * vocabSize * rows.BYTES_PER_ELEMENT;
    const {bytesRead} = await this.file.read(bytes, 0, bytes.length, at);
    if (bytesRead < bytes.length) throw new OptionError('logits', 'a whole file', `${bytesRead} bytes at ${at}`);
    this.row += count;
    return rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }
}

/** Writes all rows that `rows` yields, and then what is known of the model. The file is there once all of it is. */
export async function writeLogits(
  path: string,
  {key, vocabSize}: Pick<Header, 'key' | 'vocabSize'>,
  write: (append: (rows: Float32Array) => Promise<void>) => Promise<EvaluatedModel>,
): Promise<void> {
  const folder = dirname(resolve(path));
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw new OptionError('logits', 'a file in a folder that exists', path);
  await replaceFile(resolve(path), async (temporary) => {
    await using file = await open(temporary, 'w');
    let at = HEADER_BYTES;
    const model = await write(async (rows) => {
      const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
      for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      at += bytes.length;
    });
    const rows = (at - HEADER_BYTES) / (4 * vocabSize);
    const header = Buffer.alloc(HEADER_BYTES, ' ');
    header.write(JSON.stringify({format: FORMAT, key, vocabSize, rows, model} satisfies Header));
    await file.write(header, 0, header.length, 0);
  });
}

async function readHeader(file: FileHandle): Promise<Header | undefined> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  await file.read(bytes, 0, bytes.length, 0);
  try {
    const header = JSON.parse(bytes.toString('utf8')) as Header;
    return header.format === FORMAT ? header : undefined;
  } catch {
    return undefined;
  }
}
