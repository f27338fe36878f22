// Sequelize over distributed tables, on mysql2 and on mariadb: authors and their books by the author's key. TOOL_SPREAD says
// whether the database has several nodes.
import { DataTypes, QueryTypes, Sequelize } from 'sequelize'

const spread = process.env.TOOL_SPREAD === '1'
const show = (...what) => console.log(JSON.stringify(what))

for (const dialect of ['mysql', 'mariadb']) {
  const db = new Sequelize(process.env.TOOL_DATABASE, process.env.TOOL_USER, process.env.TOOL_PASSWORD, {
    dialect, host: process.env.TOOL_HOST, port: Number(process.env.TOOL_PORT), logging: false, pool: { max: 4 },
  })
  await db.authenticate()
  const Author = db.define('author', { name: DataTypes.STRING(60), country: DataTypes.STRING(2) }, { timestamps: false, indexes: [{ fields: ['name'] }] })
  const Book = db.define('book', {
    authorId: { type: DataTypes.INTEGER, allowNull: false, primaryKey: true }, number: { type: DataTypes.INTEGER, primaryKey: true },
    title: DataTypes.STRING, price: { type: DataTypes.DECIMAL(9, 2), defaultValue: 1 }, extra: DataTypes.JSON, raw: DataTypes.BLOB,
  }, { timestamps: true, indexes: [{ fields: ['title'] }] })
  const Country = db.define('country', { code: { type: DataTypes.STRING(2), primaryKey: true }, name: DataTypes.STRING }, { timestamps: false })
  // No node could check a foreign key, so there are none.
  Author.hasMany(Book, { foreignKey: 'authorId', constraints: false })
  Book.belongsTo(Author, { foreignKey: 'authorId', constraints: false })
  Author.belongsTo(Country, { foreignKey: 'country', constraints: false, as: 'from' })
  await db.sync({ force: true })
  // What a migration does to tables that are there.
  if (spread) {
    for (const [table, clause] of [['authors', 'HASH(id)'], ['books', 'HASH(authorId)'], ['countries', 'BROADCAST']]) {
      await db.query(`ALTER TABLE ${table} DISTRIBUTE BY ${clause}`)
    }
  }
  const query = db.getQueryInterface()
  await query.addColumn('books', 'stock', { type: DataTypes.INTEGER, allowNull: false, defaultValue: 3 })
  await query.changeColumn('authors', 'name', { type: DataTypes.STRING(80) })
  await query.addIndex('books', ['price'])
  show((await query.showAllTables()).map((table) => table.tableName ?? table).sort(), await query.describeTable('books'))
  show((await query.showIndex('books')).map((index) => index.name))

  await Country.bulkCreate([{ code: 'DE', name: 'Deutschland' }, { code: 'CN', name: '中国' }])
  for (let n = 0; n < 20; n++) {
    const { id } = await Author.create({ name: `author ${n}`, country: n % 3 ? 'DE' : 'CN' })
    await Book.bulkCreate([0, 1].map((number) => ({ authorId: id, number, title: `book ${n}.${number}`, price: n + number / 4, extra: { a: [n, '墨水'] }, raw: Buffer.from([0, 255, 39]) })))
  }
  await Author.bulkCreate(Array.from({ length: 300 }, (_, n) => ({ name: `bulk ${n}`, country: 'DE' })))
  const plain = ({ createdAt, updatedAt, ...rest }) => rest
  const first = await Author.findOne({ where: { name: 'author 3' }, include: [Book, 'from'], order: [[Book, 'number', 'ASC']] })
  show(first.name, first.from.name, first.books.map((book) => { const { authorId, ...rest } = plain(book.toJSON()); return rest }))
  show(await Author.count(), await Book.count(), await Book.sum('price'), await Book.max('number'))
  show(await Author.findAll({ attributes: ['country', [db.fn('COUNT', db.col('id')), 'n']], group: 'country', order: ['country'], raw: true }))
  show(await Book.findAll({ where: { price: { [Sequelize.Op.gt]: 17 } }, order: [['price', 'DESC'], ['title', 'ASC']], limit: 3, offset: 1, attributes: ['title', 'price'] }))
  show(await Author.findAndCountAll({ where: { name: { [Sequelize.Op.like]: 'bulk 1%' } }, order: ['name'], limit: 2, attributes: ['name'] }))
  const rich = await Author.findAll({ include: [{ model: Book, where: { price: { [Sequelize.Op.gte]: 18 } }, attributes: ['title'] }], order: ['name', [Book, 'number', 'ASC']] })
  show(rich.map((author) => [author.name, author.books.map((book) => book.title)]))
  await Book.create({ authorId: first.id, number: 0, title: 'again' }).catch((error) => show(error.name, error.parent.errno))
  await db.transaction(async (transaction) => {
    const [changed] = await Book.update({ price: 0 }, { where: {}, transaction, silent: true })
    show(changed)
    throw new Error('undone')
  }).catch((error) => show(error.message))
  // Each takes from one author and gives to another one, that may be on the other node.
  const authors = await Author.findAll({ where: { name: ['author 1', 'author 2', 'author 4', 'author 5'] }, order: ['id'] })
  await Promise.all(Array.from({ length: 16 }, async (_, n) => {
    for (;;) {
      try {
        await db.transaction(async (transaction) => {
          for (const [at, by] of [[n % 4, -1], [(n + 1) % 4, 1]]) {
            const book = await Book.findOne({ where: { authorId: authors[at].id, number: 0 }, lock: transaction.LOCK.UPDATE, transaction })
            await book.increment('stock', { by, transaction })
          }
        })
        return
      } catch (error) {
        if (error.parent?.errno !== 1213) throw error
      }
    }
  }))
  show(await Book.sum('price'), await Book.sum('stock'), await Book.sum('stock', { where: { authorId: authors.map((author) => author.id), number: 0 } }))
  show(await db.query('SELECT title FROM books WHERE title = ?', { replacements: ['book 1.1'], type: QueryTypes.SELECT }))
  show(await db.query('SELECT COUNT(*) AS n FROM books WHERE price > $1', { bind: [5], type: QueryTypes.SELECT }))
  await Author.upsert({ id: first.id, name: 'else', country: 'CN' })
  show(await Author.findOne({ where: { id: first.id }, attributes: ['name', 'country'] }), await Author.count())
  show(await Author.destroy({ where: { name: 'else' } }), await Author.count(), await Book.destroy({ where: { price: { [Sequelize.Op.lt]: 3 } } }))
  if (spread) {
    const told = JSON.stringify(await db.query('EXPLAIN ROUTE SELECT COUNT(*) FROM books', { type: QueryTypes.SELECT }))
    if (!told.includes('0, 1')) throw new Error(`it is on both nodes: ${told}`)
  }
  await db.drop()
  await db.close()
}
