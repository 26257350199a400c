/** Programs that tests run beside Node, as scripts/test-tools.mjs finds or fetches them. */

import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

export interface TestTools {
  /** `env`: what it needs beside the process's own. `args`: how it is started. */
  browser: {path: string; env: Record<string, string>; args: string[]};
  promtool: {path: string};
}

export function testTools(): TestTools {
  const script = fileURLToPath(new URL('../../scripts/test-tools.mjs', import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [script, '--json'], {encoding: 'utf8'}));
}
