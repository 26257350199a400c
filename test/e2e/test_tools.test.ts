/** scripts/test-tools.mjs: which browser and promtool tests run, and what it says where there are none. */

import {chmod, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';

import {expect, it} from 'vitest';

import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, run} from './helpers/child.js';

const folder = temporaryFolder();

interface Found {
  path?: string;
  env?: Record<string, string>;
  message?: string;
}

/** Where nothing but `tools` (scripts by name) is on PATH. */
async function find(
  name: string,
  {finder = 'findBrowser', tools = {}, env = {}}: {finder?: string; tools?: Record<string, string>; env?: Record<string, string>},
) {
  const bin = folder(name, 'bin');
  await mkdir(bin, {recursive: true});
  for (const command of ['sh', 'mkdir', 'touch']) await symlink(`/bin/${command}`, path.join(bin, command));
  for (const [tool, body] of Object.entries(tools)) {
    await writeFile(path.join(bin, tool), `#!/bin/sh\n${body}\n`);
    await chmod(path.join(bin, tool), 0o755);
  }
  const program = `
    import {${finder}} from ${JSON.stringify(projectFile('scripts/test-tools.mjs'))};
    const found = await ${finder}({folder: ${JSON.stringify(folder(name, 'sdk'))}}).catch(({message}) => ({message}));
    console.log(JSON.stringify(found));`;
  const {stdout} = await run(process.execPath, ['--input-type=module', '--eval', program], {PATH: bin, CHROMIUM: '', PROMTOOL: '', ...env});
  return {found: JSON.parse(stdout) as Found, bin};
}

it('takes what the variables name, then what is on PATH', async () => {
  const {found, bin} = await find('path', {tools: {'google-chrome': ''}});
  expect(found).toMatchObject({path: path.join(bin, 'google-chrome'), env: {}});
  expect((await find('variable', {tools: {'google-chrome': ''}, env: {CHROMIUM: '/own/chrome'}})).found.path).toBe('/own/chrome');
  expect((await find('promtool', {finder: 'findPromtool', env: {PROMTOOL: '/own/promtool'}})).found).toEqual({path: '/own/promtool'});
});

it('says what to install where Debian has no say', async () => {
  expect((await find('bare', {})).found.message).toBe('apt-get is not installed. Install Chromium or Chrome, or set CHROMIUM to one.');
  const {found} = await find('unknown', {
    finder: 'findPromtool',
    tools: {'apt-get': 'echo "E: Unable to locate package prometheus" >&2; exit 100'},
  });
  expect(found.message).toMatch(/failed: E: Unable to locate package prometheus\nInstall promtool/);
  expect(await readdir(folder('unknown', 'sdk'))).toEqual([]);
});

it("fetches Debian's packages without touching the machine's, once", async () => {
  const log = folder('apt.log');
  const tools = {
    'apt-get': `echo "$@" >> ${log}\nfor a; do case $a in Dir::Cache=*) touch "\${a#Dir::Cache=}/archives/chromium.deb";; esac; done`,
    'dpkg-deb': 'mkdir -p "$3/usr/lib/chromium" "$3/usr/lib/x86_64-linux-gnu"; touch "$3/usr/lib/chromium/chromium"',
  };
  const {found} = await find('fetched', {tools});
  const root = folder('fetched', 'sdk', 'debian-chromium');
  expect(found.path).toBe(path.join(root, 'usr/lib/chromium/chromium'));
  expect(found.env!.LD_LIBRARY_PATH).toContain(path.join(root, 'usr/lib/x86_64-linux-gnu'));
  const calls = (await readFile(log, 'utf8')).trim().split('\n');
  expect(calls).toHaveLength(2);
  for (const call of calls) expect(call).toMatch(/Dir::State=\S+sdk\/debian-chromium\S+ .*Dir::Cache=\S+sdk\/debian-chromium\S+ /);
  expect(calls[1]).toMatch(/install --download-only .*chromium/);
  expect(await readdir(root)).not.toContain('apt');
});
