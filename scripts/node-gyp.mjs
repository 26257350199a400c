// node-gyp: which one to call, and how.

import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';

/** node-gyp's script: the one installed beside us, else the one npm brings; undefined if there is neither. */
export function nodeGypScript(env = process.env) {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return env.npm_config_node_gyp;
  }
}

/** The environment for node-gyp: Node's own headers where they are installed beside it, so that none are downloaded. */
export function nodeGypEnvironment(env = process.env) {
  const prefix = path.resolve(process.execPath, '..', '..');
  const installed = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  return installed && env.npm_config_nodedir === undefined ? {...env, npm_config_nodedir: prefix} : env;
}
