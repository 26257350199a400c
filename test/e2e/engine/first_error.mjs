// The first thing that goes wrong from load to run, as JSON.
import {caught, dense, engine, tensor} from './fixture.mjs';

const {code, call, message} = await caught(async () => {
  const loaded = await engine(dense());
  try {
    await loaded.run([tensor([1, 2, 3, 4], [1, 4])]).result;
  } finally {
    await loaded.dispose();
  }
});
console.log(JSON.stringify({code, call, message}));
