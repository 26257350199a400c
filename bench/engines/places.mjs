/** Where the engine benchmarks keep what they fetch and make: ignored by git, safe to delete. */

import path from 'node:path';
import {fileURLToPath} from 'node:url';

export const modelsFolder = fileURLToPath(new URL('../.models/', import.meta.url));

/** The virtual environment's interpreter. */
export const python = path.join(modelsFolder, 'python/bin/python');

/** The ONNX file of a model. */
export const modelFile = (name) => path.join(modelsFolder, `${name}.onnx`);

/** Pictures, speech and tokens; calibration sets. */
export const inputsFolder = path.join(modelsFolder, 'inputs');

/** What ONNX Runtime's CPU kernels make of them. */
export const referencesFolder = path.join(modelsFolder, 'references');
