// An upstream in JavaScript: sends the messages given as JSON on standard input with amqplib, each confirmed.
// node send.js AMQP_URL USER < messages.json      message: {contentType, headers, body, routingKey}
'use strict'
const amqplib = require('amqplib')

async function main () {
  const [url, userId] = process.argv.slice(2)
  const messages = JSON.parse(require('fs').readFileSync(0, 'utf8'))
  const connection = await amqplib.connect(url)
  const channel = await connection.createConfirmChannel()
  channel.on('return', (message) => { throw new Error(`came back: ${message.fields.routingKey}`) })
  for (const { contentType, headers, body, routingKey } of messages) {
    const options = { contentType, headers, userId, persistent: true, mandatory: true }
    channel.publish('usage', routingKey, Buffer.from(body), options)
  }
  await channel.waitForConfirms()
  await connection.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
