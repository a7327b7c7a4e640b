'use strict'

const http = require('node:http')
const settings = require('./settings')
const pages = require('./pages')

http
  .createServer((request, response) => {
    if (request.url === '/healthz') return response.end('ok\n')
    const page = pages[request.url] || pages.notFound
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(page(settings))
  })
  .listen(8080, () => console.log('listening on :8080'))
