'use strict'

const { jobs } = require('./jobs')
const queue = require('./queue')

queue.each((message) => jobs[message.kind](message))
