// Consuming: prefetch, acknowledgements, cancels, direct reply-to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channel, closedBy, consumed, queue, until } from './support.js';

/** Sends the numbers 1 to `count`, confirmed. */
async function fill(ch, name, count) {
  for (let i = 1; i <= count; i += 1) ch.sendToQueue(name, Buffer.from(`${i}`));
  await ch.waitForConfirms();
}

const texts = (messages) => messages.map((message) => message.content.toString());

test('prefetch holds deliveries back until an ack', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  await fill(ch, name, 5);
  await ch.prefetch(2);
  const got = [];
  await ch.consume(name, (message) => got.push(message));
  await until(() => got.length === 2);
  assert.equal((await ch.checkQueue(name)).messageCount, 3);
  ch.ack(got[1], true);
  await until(() => got.length === 4);
  assert.deepEqual(texts(got), ['1', '2', '3', '4']);
});

test('what is requeued comes again in its place, marked', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  await fill(ch, name, 3);
  const [first, second] = [await ch.get(name), await ch.get(name)];
  ch.nack(second, false, true);
  ch.reject(first, true);
  const again = await consumed(ch, name, 3);
  assert.deepEqual(texts(again), ['1', '2', '3']);
  assert.deepEqual(again.map((message) => message.fields.redelivered), [true, true, false]);
});

test('what a closed channel held comes back', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  await fill(ch, name, 2);
  await ch.get(name);
  await ch.recover();
  const message = await ch.get(name, { noAck: true });
  assert.deepEqual([message.content.toString(), message.fields.redelivered], ['1', true]);
});

test('acknowledging twice closes the channel with 406', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  await fill(ch, name, 1);
  const message = await ch.get(name);
  ch.ack(message);
  const error = await closedBy(ch, () => ch.ack(message));
  assert.equal(error.code, 406);
  assert.match(error.message, /PRECONDITION_FAILED - unknown delivery tag 1/);
});

test('a cancelled consumer gets nothing more', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  const { consumerTag } = await ch.consume(name, () => assert.fail('delivered'));
  assert.deepEqual(await ch.cancel(consumerTag), { consumerTag });
  await fill(ch, name, 1);
  assert.deepEqual(await ch.checkQueue(name), { queue: name, messageCount: 1, consumerCount: 0 });
});

test('deleting the queue cancels its consumers', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const cancelled = new Promise((resolve) => { ch.consume(name, resolve); });
  await ch.checkQueue(name);
  await ch.deleteQueue(name);
  assert.equal(await cancelled, null);
});

test('an exclusive consumer keeps others out with 403', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  await ch.consume(name, () => {}, { exclusive: true });
  const error = await closedBy(ch, () => ch.consume(name, () => {}));
  assert.equal(error.code, 403);
});

test('consumers of higher priority are served first', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  const got = { low: 0, high: 0 };
  await ch.consume(name, () => { got.low += 1; }, { noAck: true, priority: 1 });
  await ch.consume(name, () => { got.high += 1; }, { noAck: true, priority: 10 });
  await fill(ch, name, 20);
  await until(() => got.low + got.high === 20);
  assert.deepEqual(got, { low: 0, high: 20 });
});

test('one consumer is active at a time, and the next takes over', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch, { arguments: { 'x-single-active-consumer': true } });
  const got = { first: 0, second: 0 };
  const { consumerTag } = await ch.consume(name, () => { got.first += 1; }, { noAck: true });
  await ch.consume(name, () => { got.second += 1; }, { noAck: true });
  await fill(ch, name, 10);
  await until(() => got.first + got.second === 10);
  assert.deepEqual(got, { first: 10, second: 0 });
  await ch.cancel(consumerTag);
  await fill(ch, name, 10);
  await until(() => got.first + got.second === 20);
  assert.deepEqual(got, { first: 10, second: 10 });
});

test('a request is answered by direct reply-to', async (t) => {
  const [client, server] = [await channel(t), await channel(t)];
  const name = await queue(server);
  await server.consume(name, (request) => {
    const { replyTo, correlationId } = request.properties;
    server.sendToQueue(replyTo, Buffer.from(`${request.content}!`), { correlationId });
  }, { noAck: true });
  const answer = consumed(client, 'amq.rabbitmq.reply-to', 1);
  client.sendToQueue(name, Buffer.from('hello'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' });
  const [message] = await answer;
  assert.deepEqual([message.content.toString(), message.properties.correlationId], ['hello!', '7']);
});
