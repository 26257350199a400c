/**
 * Quantises in a process of its own, so that its memory is its own. Argument: JSON {source, out, options}; prints JSON
 * {seconds, rssBytes} with the most memory that was resident at once.
 */

import {quantizeModel} from '../../dist/index.js';

const {source, out, options} = JSON.parse(process.argv[2]);
const start = performance.now();
await quantizeModel(source, out, options);
const seconds = (performance.now() - start) / 1000;
// In kibibytes, on every system.
process.stdout.write(JSON.stringify({seconds, rssBytes: process.resourceUsage().maxRSS * 1024}));
