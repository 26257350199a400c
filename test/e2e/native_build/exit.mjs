// The process ends in the middle of a build of a million steps, which is cancelled and waited for.
import {addon, request} from './fixture.mjs';

const wanted = await request(undefined, {timingCacheOut: process.env.TIMINGS});
addon.buildEngine(wanted, {
  progress() {
    console.log('done');
    process.exit(0);
  },
  batchWanted() {},
});
