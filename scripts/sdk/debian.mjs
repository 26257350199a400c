// Fetches programs of Debian's packages into the sdk's folder, without root and without installing them: apt-get with
// its state and caches kept there. apt-get checks what arrives against Debian's signatures.

import {execFile} from 'node:child_process';
import {mkdir, readdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';

import {FetchError} from './fetch.mjs';
import {makeOnce} from './once.mjs';

const run = promisify(execFile);

/**
 * Unpacks `packages`, with what they depend on and the machine lacks, unless `alone`. Returns the folder that stands for
 * '/'. `program` is a file in it; a folder that has it is complete. Rejects with FetchError.
 */
export async function fetchDebian(sdk, name, {packages, program, alone = false, hint}) {
  const folder = path.join(sdk, `debian-${name}`);
  await makeOnce(folder, program, async (scratch) => {
    const apt = path.join(scratch, 'apt');
    await mkdir(path.join(apt, 'state', 'lists', 'partial'), {recursive: true});
    await mkdir(path.join(apt, 'cache', 'archives', 'partial'), {recursive: true});
    const options = [
      `Dir::State=${path.join(apt, 'state')}`,
      `Dir::Cache=${path.join(apt, 'cache')}`,
      'Dir::State::status=/var/lib/dpkg/status',
      'Debug::NoLocking=true',
      // Else root's apt-get would fetch as another user, who may not write here.
      'APT::Sandbox::User=',
    ].flatMap((option) => ['-o', option]);
    const archives = path.join(apt, 'cache', 'archives');
    const aptGet = (args, cwd) => tool('apt-get', ['-q', '-y', ...options, ...args], cwd, hint);
    await aptGet(['update'], scratch);
    if (alone) await aptGet(['download', ...packages], archives);
    else await aptGet(['install', '--download-only', '--reinstall', '--no-install-recommends', ...packages], scratch);
    for (const file of await readdir(archives)) {
      if (file.endsWith('.deb')) await tool('dpkg-deb', ['-x', path.join(archives, file), scratch], scratch, hint);
    }
    await rm(apt, {recursive: true});
  });
  return folder;
}

async function tool(command, args, cwd, hint) {
  try {
    return await run(command, args, {cwd, maxBuffer: 64 << 20, env: {...process.env, DEBIAN_FRONTEND: 'noninteractive'}});
  } catch (error) {
    if (error.code === 'ENOENT') throw new FetchError(`${command} is not installed. ${hint}`);
    const said = (error.stderr || error.message).trim().split('\n').slice(-3).join('\n');
    throw new FetchError(`${command} ${args.at(0)} … ${args.slice(-3).join(' ')} failed: ${said}\n${hint}`);
  }
}
