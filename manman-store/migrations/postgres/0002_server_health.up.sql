-- What a host manager said of itself in its latest beat.
ALTER TABLE servers ADD COLUMN health TEXT CHECK (health IS NULL OR health::json IS NOT NULL);
