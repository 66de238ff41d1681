/** A schema of films that are rented, with skewed data, and queries that a bad plan answers slowly. */

/** Its tables, of an engine. seq: the server's tables of numbers. */
export function tables(engine: string): string[] {
  return Object.entries(TABLES).map(
    ([name, columns]) => `CREATE TABLE ${name} (${columns}) ENGINE=${engine}`,
  );
}

const TABLES = {
  category: 'id TINYINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(25) NOT NULL',
  actor: `id SMALLINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, first VARCHAR(45) NOT NULL, last VARCHAR(45) NOT NULL,
    KEY (last, first)`,
  film: `id SMALLINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, title VARCHAR(120) NOT NULL, rating VARCHAR(5),
    length SMALLINT UNSIGNED, description TEXT, KEY (title), KEY (rating, length)`,
  film_actor: `actor_id SMALLINT UNSIGNED NOT NULL, film_id SMALLINT UNSIGNED NOT NULL, PRIMARY KEY (actor_id, film_id),
    KEY (film_id)`,
  film_category: `film_id SMALLINT UNSIGNED NOT NULL, category_id TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (film_id, category_id), KEY (category_id)`,
  customer: `id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(45) NOT NULL, city VARCHAR(30) NOT NULL, active BOOL NOT NULL,
    KEY (city), KEY (active)`,
  item: 'id INT AUTO_INCREMENT PRIMARY KEY, film_id SMALLINT UNSIGNED NOT NULL, store TINYINT NOT NULL, KEY (film_id), KEY (store, film_id)',
  rental: `id INT AUTO_INCREMENT PRIMARY KEY, item_id INT NOT NULL, customer_id INT NOT NULL, rented DATETIME NOT NULL,
    returned DATETIME, state VARCHAR(10) NOT NULL, KEY (item_id), KEY (customer_id, rented), KEY (returned), KEY (state)`,
};

/**
 * Loads them. Few customers make most rentals, few actors play in most films, most rentals are done and returned.
 */
export const LOAD = [
  "INSERT INTO category (name) SELECT CONCAT('category ', seq) FROM seq_1_to_16",
  "INSERT INTO actor (first, last) SELECT CONCAT('first', seq % 60), CONCAT('last', seq % 90) FROM seq_1_to_100",
  `INSERT INTO film (title, rating, length, description)
     SELECT CONCAT('film ', seq * 7919 % 400), ELT(1 + seq % 5, 'G', 'PG', 'PG-13', 'R', 'NC-17'), 50 + seq % 130,
       REPEAT('words ', 20) FROM seq_1_to_400`,
  'INSERT INTO film_actor SELECT DISTINCT 1 + FLOOR(POW(seq * 7919 % 2000 / 2000, 2) * 100), 1 + seq % 400 FROM seq_1_to_2000',
  'INSERT INTO film_category SELECT seq, 1 + seq * 31 % 16 FROM seq_1_to_400',
  `INSERT INTO customer (name, city, active)
     SELECT CONCAT('customer ', seq), CONCAT('city ', seq % 100), seq % 40 > 0 FROM seq_1_to_300`,
  'INSERT INTO item (film_id, store) SELECT 1 + seq % 380, 1 + seq % 2 FROM seq_1_to_1500',
  ...[0, 1, 2].map(
    (part) => `INSERT INTO rental (item_id, customer_id, rented, returned, state)
     SELECT 1 + seq * 7907 % 1500, 1 + FLOOR(POW(seq * 6007 % 6000 / 6000, 3) * 300), '2025-01-01' + INTERVAL seq * 20 MINUTE,
       IF(seq % 80, '2025-01-03' + INTERVAL seq * 20 MINUTE, NULL), IF(seq % 100, 'done', IF(seq % 200, 'open', 'lost'))
     FROM seq_${part * 2000 + 1}_to_${part * 2000 + 2000}`,
  ),
];

export const VIEWS = [
  `CREATE VIEW film_list AS
     SELECT film.id, film.title, film.rating, category.name AS category,
       GROUP_CONCAT(CONCAT(actor.first, ' ', actor.last) ORDER BY actor.id SEPARATOR ', ') AS actors
     FROM film LEFT JOIN film_category ON film_category.film_id = film.id
       LEFT JOIN category ON category.id = film_category.category_id
       LEFT JOIN film_actor ON film.id = film_actor.film_id LEFT JOIN actor ON film_actor.actor_id = actor.id
     GROUP BY film.id, category.name`,
  `CREATE VIEW actor_films AS
     SELECT a.id, a.first, a.last, GROUP_CONCAT(DISTINCT CONCAT(c.name, ': ',
       (SELECT GROUP_CONCAT(f.title ORDER BY f.title SEPARATOR ', ') FROM film f
          INNER JOIN film_category fc ON f.id = fc.film_id INNER JOIN film_actor fa ON f.id = fa.film_id
        WHERE fc.category_id = c.id AND fa.actor_id = a.id)) ORDER BY c.name SEPARATOR '; ') AS films
     FROM actor a LEFT JOIN film_actor fa ON a.id = fa.actor_id LEFT JOIN film_category fc ON fa.film_id = fc.film_id
       LEFT JOIN category c ON fc.category_id = c.id
     GROUP BY a.id, a.first, a.last`,
  `CREATE VIEW popular AS
     SELECT film_list.category, film_list.title, COUNT(*) AS rentals FROM film_list
       JOIN item ON item.film_id = film_list.id JOIN rental ON rental.item_id = item.id
     GROUP BY film_list.id`,
];

export const QUERIES: Record<string, string> = {
  'films of an actor, by name': `SELECT film.title FROM actor JOIN film_actor ON actor.id = actor_id JOIN film ON film.id = film_id
     WHERE last = 'last7' AND first = 'first7'`,
  'who owes an item': `SELECT customer.name, film.title FROM rental JOIN item ON item.id = item_id JOIN film ON film.id = film_id
     JOIN customer ON customer.id = customer_id WHERE returned IS NULL AND state = 'open'`,
  'rentals of a city': `SELECT COUNT(*), MAX(rented) FROM customer JOIN rental ON customer.id = customer_id WHERE city = 'city 42'`,
  'actors of a category': `SELECT DISTINCT actor.last FROM category JOIN film_category ON category.id = category_id
     JOIN film_actor USING (film_id) JOIN actor ON actor.id = actor_id WHERE name = 'category 3'`,
  'income of each category': `SELECT category.name, COUNT(*) FROM category JOIN film_category ON category.id = category_id
     JOIN item USING (film_id) JOIN rental ON item.id = item_id GROUP BY category.name`,
  'the last rentals of a film': `SELECT rental.id, customer.name FROM film JOIN item ON film.id = film_id
     JOIN rental ON item.id = item_id JOIN customer ON customer.id = customer_id WHERE title = 'film 123' ORDER BY rented DESC LIMIT 5`,
  'what was lost': `SELECT film.title FROM rental JOIN item ON item.id = item_id JOIN film ON film.id = film_id WHERE state = 'lost'`,
  'pairs of actors': `SELECT COUNT(*) FROM film_actor one JOIN film_actor other ON one.film_id = other.film_id AND one.actor_id < other.actor_id
     WHERE one.actor_id BETWEEN 50 AND 60`,
  'a rare state of idle customers': `SELECT COUNT(*) FROM customer JOIN rental ON customer.id = customer_id
     WHERE active = 0 AND state = 'lost'`,
  'films that nobody stocks': `SELECT title FROM film LEFT JOIN item ON film.id = film_id WHERE item.id IS NULL`,
  'customers who saw a film': `SELECT name FROM customer WHERE id IN (SELECT customer_id FROM rental JOIN item ON item.id = item_id
     WHERE film_id = 77)`,
  'films with an actor and a length': `SELECT title FROM film WHERE rating = 'PG' AND length = 101 AND EXISTS
     (SELECT * FROM film_actor WHERE film_id = film.id AND actor_id = 1)`,
  'a store and a category': `SELECT COUNT(*) FROM item JOIN film ON film.id = item.film_id JOIN film_category ON film.id = film_category.film_id
     WHERE store = 1 AND category_id = 5 AND rating = 'R'`,
  'a view of films': 'SELECT * FROM film_list',
  'a film in a view': "SELECT * FROM film_list WHERE title = 'film 50'",
  'a view with a view of actors': 'SELECT * FROM actor_films WHERE id BETWEEN 70 AND 75',
  'a view over views': 'SELECT * FROM popular ORDER BY rentals DESC, title LIMIT 10',
};
