ALTER TABLE servers DROP COLUMN health;
