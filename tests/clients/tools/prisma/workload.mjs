// Prisma's client on the driver `mariadb`: relations, transactions, raw statements, errors.
import { PrismaMariaDb } from '@prisma/adapter-mariadb'
import { PrismaClient } from '@prisma/client'

const show = (...what) => console.log(JSON.stringify(what))
const adapter = new PrismaMariaDb({
  host: process.env.TOOL_HOST, port: Number(process.env.TOOL_PORT), user: process.env.TOOL_USER, password: process.env.TOOL_PASSWORD,
  database: process.env.TOOL_DATABASE, connectionLimit: 4,
})
const db = new PrismaClient({ adapter })
for (const table of [
  'CREATE TABLE Author (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(60) NOT NULL UNIQUE)',
  `CREATE TABLE Book (id INT PRIMARY KEY AUTO_INCREMENT, title VARCHAR(191) NOT NULL, price DECIMAL(9,2) NOT NULL DEFAULT 1, extra JSON,
    authorId INT NOT NULL, FOREIGN KEY (authorId) REFERENCES Author (id) ON DELETE CASCADE)`,
]) await db.$executeRawUnsafe(table)
for (let n = 0; n < 40; n++) {
  await db.author.create({ data: { name: `作者 ${n}`, books: { create: [{ title: 'one', price: n / 4, extra: { a: [n] } }, { title: 'two' }] } } })
}
show(await db.author.findMany({ where: { name: { startsWith: '作者 1' } }, include: { books: true }, orderBy: { id: 'asc' }, take: 3 }))
show(await db.book.aggregate({ _count: true, _sum: { price: true }, where: { title: 'one' } }))
show(await db.book.groupBy({ by: ['title'], _avg: { price: true }, orderBy: { title: 'asc' } }))
await db.author.create({ data: { name: '作者 3' } }).catch((error) => show(error.code, error.meta?.modelName))
await db.$transaction(async (inside) => {
  await inside.book.updateMany({ data: { price: 0 } })
  throw new Error('undone')
}).catch((error) => show(error.message))
await db.$transaction([db.author.delete({ where: { name: '作者 5' } }), db.author.update({ where: { name: '作者 6' }, data: { name: 'else' } })])
show(await db.author.upsert({ where: { name: 'new' }, create: { name: 'new' }, update: {} }), await db.book.count())
await Promise.all(Array.from({ length: 20 }, () => db.book.update({ where: { id: 1 }, data: { price: { increment: 1 } } })))
show(await db.$queryRaw`SELECT price, ${'墨'} AS name, ${new Date(0)} AS at FROM Book WHERE id = ${1}`)
await db.$executeRawUnsafe('DROP TABLE Book, Author')
await db.$disconnect()
