// Publishing: properties, sizes, confirms, returns, and what closes the channel.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { channel, closedBy, consumed, queue, unique } from './support.js';

test('all properties and kinds of header values come back as they went', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const headers = {
    text: 'häse', yes: true, no: false, small: 7, negative: -40_000, large: 2 ** 40, half: 0.5,
    list: [1, 'two', { three: 3 }], table: { nested: { deep: 'value' } }, bytes: Buffer.from([0, 255]),
    when: { '!': 'timestamp', value: 1_700_000_000 }, nothing: null,
  };
  ch.sendToQueue(name, Buffer.from('body'), {
    contentType: 'text/plain', contentEncoding: 'identity', headers, persistent: true, priority: 3,
    correlationId: 'c-1', replyTo: 'answers', messageId: 'm-1', timestamp: 1_700_000_001, type: 'kind',
    userId: 'guest', appId: 'tests',
  });
  const [message] = await consumed(ch, name, 1);
  assert.equal(message.content.toString(), 'body');
  assert.deepEqual(message.properties.headers, headers);
  const { contentType, contentEncoding, deliveryMode, priority, correlationId, replyTo, messageId, timestamp, type,
    userId, appId } = message.properties;
  assert.deepEqual(
    [contentType, contentEncoding, deliveryMode, priority, correlationId, replyTo, messageId, timestamp, type, userId, appId],
    ['text/plain', 'identity', 2, 3, 'c-1', 'answers', 'm-1', 1_700_000_001, 'kind', 'guest', 'tests'],
  );
  assert.deepEqual([message.fields.exchange, message.fields.routingKey], ['', name]);
});

for (const size of [0, 1, 131_064, 131_065, 5_000_000]) {
  test(`a body of ${size} bytes arrives whole`, async (t) => {
    const ch = await channel(t, { confirm: true });
    const name = await queue(ch);
    const body = Buffer.alloc(size, 'leveret');
    ch.sendToQueue(name, body);
    await ch.waitForConfirms();
    const message = await ch.get(name, { noAck: true });
    assert.ok(message.content.equals(body));
  });
}

test('a thousand confirms come, each once', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  const acked = Array.from({ length: 1000 }, (_, i) => new Promise((resolve, reject) => {
    ch.sendToQueue(name, Buffer.from(`${i}`), {}, (error) => (error ? reject(error) : resolve(i)));
  }));
  assert.equal(new Set(await Promise.all(acked)).size, 1000);
  assert.equal((await ch.checkQueue(name)).messageCount, 1000);
});

test('an unroutable mandatory message returns before its confirm', async (t) => {
  const ch = await channel(t, { confirm: true });
  const order = [];
  ch.on('return', (message) => order.push(['return', message.fields.replyCode, message.fields.replyText, message.content.toString()]));
  const confirmed = new Promise((resolve) => {
    ch.publish('', unique(), Buffer.from('lost'), { mandatory: true }, () => resolve(order.push(['confirm'])));
  });
  await confirmed;
  assert.deepEqual(order, [['return', 312, 'NO_ROUTE', 'lost'], ['confirm']]);
});

test('an unknown exchange closes the channel with 404', async (t) => {
  const ch = await channel(t);
  const name = unique();
  const error = await closedBy(ch, () => ch.publish(name, 'key', Buffer.from('x')));
  assert.equal(error.code, 404);
  assert.match(error.message, new RegExp(`NOT_FOUND - no exchange '${name}' in vhost '/'`));
});

test('an expiration that is no number closes the channel with 406', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const error = await closedBy(ch, () => ch.sendToQueue(name, Buffer.from('x'), { expiration: 'soon' }));
  assert.equal(error.code, 406);
  assert.match(error.message, /invalid expiration 'soon'/);
});

test('CC and BCC reach their queues, and BCC is taken off', async (t) => {
  const ch = await channel(t);
  const [to, cc, bcc] = [await queue(ch), await queue(ch), await queue(ch)];
  ch.sendToQueue(to, Buffer.from('all'), { CC: [cc], BCC: [bcc] });
  for (const name of [to, cc, bcc]) {
    const [message] = await consumed(ch, name, 1);
    assert.deepEqual(message.properties.headers, { CC: [cc] });
  }
});

test('a full write buffer drains', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const body = Buffer.alloc(100_000);
  let sent = 0;
  for (let wrote = true; wrote; sent += 1) wrote = ch.sendToQueue(name, body);
  await once(ch, 'drain');
  assert.equal((await consumed(ch, name, sent)).length, sent);
});
