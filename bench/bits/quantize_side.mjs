/**
 * Quantises in a process of its own, so that its memory is its own. Argument: JSON {source, out, options}; prints JSON
 * {seconds, rssBytes} with the most memory that was resident at once.
 */

import {quantizeModel} from '../../dist/index.js';

const {source, out, options} = JSON.parse(process.argv[2]);
const start = performance.now();
let tenth = 0;
const onProgress = ({phase, done, total}) => {
  if (phase !== 'quantize' || done / total < tenth / 10) return;
  process.stderr.write(`${tenth}0 % after ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  tenth = Math.floor((10 * done) / total) + 1;
};
await quantizeModel(source, out, {...options, onProgress});
const seconds = (performance.now() - start) / 1000;
// In kibibytes, on every system.
process.stdout.write(JSON.stringify({seconds, rssBytes: process.resourceUsage().maxRSS * 1024}));
