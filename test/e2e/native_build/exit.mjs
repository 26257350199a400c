// The process ends in the middle of a build of a million steps.
import {addon, request} from './fixture.mjs';

const wanted = await request();
addon.buildEngine(wanted, {
  progress() {
    console.log('done');
    process.exit(0);
  },
  batchWanted() {},
});
