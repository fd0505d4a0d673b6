import { Crowd, type CrowdAnswer, type CrowdOrder } from './crowd.ts';

/* The process that devices live in: obeys orders of its parent, one answer each, and ends with it. */

const crowd = new Crowd();
process.on('message', (message) => {
  void crowd.obey(message as CrowdOrder).then((answer: CrowdAnswer) => {
    process.send?.({ answer });
  });
});
process.on('disconnect', () => {
  process.exit();
});
