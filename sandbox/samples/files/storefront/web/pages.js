'use strict'

module.exports = {
  '/': ({ pageSize }) => `<h1>Storefront</h1><p>${pageSize} products</p>`,
  '/basket': () => '<h1>Your basket</h1>',
  notFound: () => '<h1>No such page</h1>',
}
