'use strict'

exports.jobs = {
  'order-mail': (message) => message.mailer.send('order', { to: message.customer }),
}
