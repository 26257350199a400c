/** The small chat model that scripts/model.mjs fetches and imports; `npm test` sees to it before the tests run. */

import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

export const MODEL_FOLDER = fileURLToPath(new URL('../../../.models/SmolLM2-135M-Instruct', import.meta.url));
export const GGUF_FILE = fileURLToPath(new URL('../../../.models/SmolLM2-135M-Instruct.Q4_1.gguf', import.meta.url));

if (!existsSync(MODEL_FOLDER)) throw new Error('the test model is missing: run `node scripts/model.mjs` after `npm run build`');
