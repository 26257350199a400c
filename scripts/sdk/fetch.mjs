// Fetches headers and nvcc from package registries, through the user's own cargo and pip, into the sdk's folder.
// What arrives is checked against checksums.json; a folder appears under its final name only when it is complete.

import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {chmod, cp, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';

import {makeOnce} from './once.mjs';

const run = promisify(execFile);

/** A part that could not be fetched: the message says what and why, in a line or a few. */
export class FetchError extends Error {
  name = 'FetchError';
}

/** TensorRT's headers from a crate that carries them. Returns the include folder. */
export async function fetchTensorrt(sdk, {crate, version, sha256, include}) {
  return makeOnce(path.join(sdk, `tensorrt-${crate}-${version}`), 'include', async (folder) => {
    // A project that depends on the crate and nothing else: cargo resolves it with whatever registry and mirror the user set.
    await mkdir(path.join(folder, 'cargo', 'src'), {recursive: true});
    await writeFile(path.join(folder, 'cargo', 'src', 'lib.rs'), '');
    await writeFile(
      path.join(folder, 'cargo', 'Cargo.toml'),
      `[package]\nname = "sdk"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n${crate} = "=${version}"\n`,
    );
    const target = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`;
    const cargo = (args) =>
      tool('cargo', args, path.join(folder, 'cargo'), 'Install Rust, or set TENSORRT_ROOT to a TensorRT with headers.');
    await cargo(['fetch', '--target', target]);

    // cargo has checked the crate against its lock file's sum, so the lock file's sum is what is left to check.
    const lock = await readFile(path.join(folder, 'cargo', 'Cargo.lock'), 'utf8');
    const locked = new RegExp(`name = "${crate}"\nversion = "[^"]*"\nsource = "[^"]*"\nchecksum = "([0-9a-f]*)"`).exec(lock)?.[1];
    if (locked !== sha256) throw new FetchError(`crate ${crate} ${version} has SHA-256 ${locked ?? '(none)'}, expected ${sha256}`);

    const metadata = JSON.parse(await cargo(['metadata', '--format-version', '1', '--offline', '--filter-platform', target]));
    const manifest = metadata.packages.find((each) => each.name === crate).manifest_path;
    await cp(path.join(path.dirname(manifest), include), path.join(folder, 'include'), {recursive: true});
    await rm(path.join(folder, 'cargo'), {recursive: true});
  });
}

/** Where `fetchWheels` unpacks them. */
export function wheelsFolder(sdk, name, wheels) {
  const stamp = createHash('sha256').update(JSON.stringify(wheels)).digest('hex').slice(0, 8);
  return path.join(sdk, `${name}-${wheels[0].version}-${stamp}`);
}

/** Wheels unpacked over each other: a small CUDA toolkit. Returns its root. */
export async function fetchWheels(sdk, name, wheels) {
  return makeOnce(wheelsFolder(sdk, name, wheels), path.join('nvidia', 'cu13'), async (folder) => {
    const python = (args) => tool('python3', args, folder, 'Install python3 with pip, or set CUDA_HOME to a CUDA toolkit.');
    const pinned = wheels.map((each) => `${each.wheel}==${each.version}`);
    await python(['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', 'wheels', ...pinned]);
    for (const {wheel, version, sha256} of wheels) {
      const prefix = `${wheel.replaceAll('-', '_')}-${version}-`;
      const file = (await readdir(path.join(folder, 'wheels'))).find((each) => each.startsWith(prefix));
      if (file === undefined) throw new FetchError(`pip reported no error and left no ${wheel} ${version}`);
      const sum = createHash('sha256')
        .update(await readFile(path.join(folder, 'wheels', file)))
        .digest('hex');
      if (sum !== sha256[process.arch])
        throw new FetchError(`${file} has SHA-256 ${sum}, expected ${sha256[process.arch] ?? '(none known)'}`);
      await python(['-m', 'zipfile', '-e', path.join('wheels', file), '.']);
    }
    await rm(path.join(folder, 'wheels'), {recursive: true});
    await makeExecutable(path.join(folder, 'nvidia', 'cu13'), ['bin', path.join('nvvm', 'bin')]);
  });
}

async function tool(command, args, cwd, hint) {
  try {
    return (await run(command, args, {cwd, maxBuffer: 64 << 20})).stdout;
  } catch (error) {
    if (error.code === 'ENOENT') throw new FetchError(`${command} is not installed. ${hint}`);
    if (/No module named pip/.test(error.stderr)) throw new FetchError(`python3 has no pip. ${hint}`);
    throw new FetchError(`${command} ${args.slice(0, 3).join(' ')} failed: ${lastLines(error.stderr || error.message)}`);
  }
}

function lastLines(text) {
  return text.trim().split('\n').slice(-4).join('\n');
}

// python3 -m zipfile forgets the mode bits.
async function makeExecutable(root, folders) {
  for (const folder of folders.map((each) => path.join(root, each)).filter((each) => existsSync(each))) {
    for (const entry of await readdir(folder, {withFileTypes: true})) {
      if (entry.isFile()) await chmod(path.join(folder, entry.name), 0o755);
    }
  }
}
