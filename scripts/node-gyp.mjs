// How node-gyp is to be called here.

import {existsSync} from 'node:fs';
import path from 'node:path';

/** The environment for node-gyp: Node's own headers where they are installed beside it, so that none are downloaded. */
export function nodeGypEnvironment(env = process.env) {
  const prefix = path.resolve(process.execPath, '..', '..');
  const installed = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  return installed && env.npm_config_nodedir === undefined ? {...env, npm_config_nodedir: prefix} : env;
}
