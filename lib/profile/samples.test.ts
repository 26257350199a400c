/** The committed sample traces, made up and recorded: that the writer still makes the former, and what their summaries say. */

import {readdirSync, readFileSync, statSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {describe, expect, test} from 'vitest';

import {SAMPLES} from '../../test/support/simulated_activity.js';
import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {summarize} from './summary.js';
import {formatSummary} from './summary_text.js';
import {readTrace} from './trace_reader.js';
import {TraceWriter} from './trace_writer.js';

const folder = temporaryFolder();
const sample = (name: string) => fileURLToPath(new URL(`../../test/fixtures/traces/${name}`, import.meta.url));

describe.each(Object.entries(SAMPLES))('%s', (name, make) => {
  test('is what the writer makes', async () => {
    const path = folder(`${name}.json`);
    const {info, activities, hostEvents} = make();
    {
      using writer = new TraceWriter(path, {info});
      for (const activity of activities) writer.add(activity);
      for (const event of hostEvents) writer.addHostEvent(event);
    }
    await expect(readFileSync(path, 'utf8')).toMatchFileSnapshot(sample(`${name}.json`));
  });
});

describe.each(readdirSync(sample('.')).filter((file) => file.endsWith('.json')))('%s', (file) => {
  test('has the summary beside it', async () => {
    const text = formatSummary(summarize(await readTrace(sample(file))));
    await expect(text).toMatchFileSnapshot(sample(file.replace(/json$/, 'txt')));
  });

  test('is small, and names no place of a machine', () => {
    expect(statSync(sample(file)).size).toBeLessThan(500_000);
    expect(readFileSync(sample(file), 'utf8')).not.toMatch(/"\/\w/);
  });
});

test('what was planted is named', async () => {
  const {serialCopies, gaps} = summarize(await readTrace(sample('planted.json')));
  expect(serialCopies).toMatchObject([{stream: 'uploads', name: 'copy to device', count: 1, bytes: 6e6, idle: 120_000}]);
  expect(gaps).toMatchObject([
    {cause: 'copy', waitedFor: 'copy to device on uploads', count: 1, total: 120_000},
    {cause: 'host', waitedFor: 'tokenizer: encode', count: 1, total: 89_900},
    {cause: 'launch', count: 8, total: 8000},
  ]);
});
