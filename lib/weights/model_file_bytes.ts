/** What a model's weights weigh on disk. */

import {readdir, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

/** Bytes of an ONNX file and the files beside it that begin with its name, where exporters put the weights. */
export async function modelFileBytes(modelPath: string): Promise<number> {
  const folder = dirname(modelPath);
  const name = basename(modelPath);
  const files = (await readdir(folder)).filter((file) => file === name || file.startsWith(`${name}.`) || file.startsWith(`${name}_`));
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
