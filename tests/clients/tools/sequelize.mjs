// Sequelize on mysql2 and on mariadb: models, associations, migrations' query interface, transactions, a pool.
import { DataTypes, QueryTypes, Sequelize, Transaction } from 'sequelize'

const show = (...what) => console.log(JSON.stringify(what))

for (const dialect of ['mysql', 'mariadb']) {
  const db = new Sequelize(process.env.TOOL_DATABASE, process.env.TOOL_USER, process.env.TOOL_PASSWORD, {
    dialect, host: process.env.TOOL_HOST, port: Number(process.env.TOOL_PORT), logging: false, pool: { max: 4 },
  })
  await db.authenticate()
  show(dialect, await db.databaseVersion())
  const Author = db.define('author', { name: { type: DataTypes.STRING(60), unique: 'by_name' } }, { timestamps: false })
  const Book = db.define('book', {
    title: DataTypes.STRING, price: { type: DataTypes.DECIMAL(9, 2), defaultValue: 1 }, extra: DataTypes.JSON, raw: DataTypes.BLOB,
  }, { timestamps: false, indexes: [{ fields: ['title'] }] })
  Author.hasMany(Book, { onDelete: 'CASCADE' })
  Book.belongsTo(Author)
  await db.sync({ force: true })
  const query = db.getQueryInterface()
  await query.addColumn('books', 'stock', { type: DataTypes.INTEGER, allowNull: false, defaultValue: 3 })
  show(await query.showAllTables(), await query.describeTable('books'), (await query.showIndex('books')).map((index) => index.name))
  show((await query.getForeignKeyReferencesForTable('books')).map((key) => [key.columnName, key.referencedTableName]))
  const books = [{ title: 'one', extra: { a: [1, '墨水'] }, raw: Buffer.from([0, 255, 39]) }, { title: 'two', price: 2.25 }]
  for (let n = 0; n < 20; n++) {
    // With `include` they would be made at once, in any order.
    const { id } = await Author.create({ name: `author ${n}` })
    await Book.bulkCreate(books.map((book) => ({ ...book, authorId: id })))
  }
  await Book.bulkCreate(Array.from({ length: 500 }, (_, n) => ({ title: `bulk ${n}`, price: n / 4 })))
  show(await Author.findOne({ include: Book, order: [['id', 'ASC'], [Book, 'id', 'ASC']] }))
  show(await Book.count(), await Book.sum('price'), await Book.findAll({ where: { price: { [Sequelize.Op.gt]: 124 } }, attributes: ['title'] }))
  await Author.create({ name: 'author 3' }).catch((error) => show(error.name, error.parent.errno))
  await db.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.READ_COMMITTED }, async (transaction) => {
    await Book.update({ price: 0 }, { where: {}, transaction })
    throw new Error('undone')
  }).catch((error) => show(error.message))
  await Promise.all(Array.from({ length: 20 }, () => db.transaction(async (transaction) => {
    const book = await Book.findOne({ where: { title: 'bulk 1' }, lock: transaction.LOCK.UPDATE, transaction })
    await book.increment('stock', { transaction })
  })))
  show(await Book.sum('price'), (await Book.findOne({ where: { title: 'bulk 1' } })).get('stock'))
  show(await db.query('SELECT stock FROM books WHERE title = ?', { replacements: ['bulk 1'], type: QueryTypes.SELECT }))
  show(await db.query('SELECT $1 + $2 AS sum', { bind: [1, 2], type: QueryTypes.SELECT }))
  await Author.upsert({ id: 1, name: 'else' })
  show(await Author.destroy({ where: { name: 'else' } }), await Book.count())
  await db.drop()
  await db.close()
}
