// TensorRT's log on stderr, from the severity that was asked for.
import {addon, failure, request, silent} from './fixture.mjs';

await failure(async () => addon.buildEngine(await request(undefined, {logLevel: process.argv[2]}), silent).result);
