BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE artifact (
	id INTEGER NOT NULL, 
	recording_digest VARCHAR(64) NOT NULL, 
	span INTEGER NOT NULL, 
	pipeline_id INTEGER NOT NULL, 
	copy INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	n_chunks INTEGER NOT NULL, 
	CONSTRAINT pk_artifact PRIMARY KEY (id), 
	CONSTRAINT fk_artifact_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipeline (id), 
	CONSTRAINT uq_artifact_recording_digest_span_pipeline_id_copy UNIQUE (recording_digest, span, pipeline_id, copy)
);
INSERT INTO "artifact" VALUES(1,'e6b3292a3670f73c94c795176e954f26fd140df0d6dd216b1926b83a23ee3e91',0,1,0,'strips/136eee3d7f4bd7ea/e6/e6b3292a3670f73c94c795176e954f26fd140df0d6dd216b1926b83a23ee3e91-0-0-bf805f14772fb2d5.png',1766,'bf805f14772fb2d5fa1d7c7f926e9c234cf4e65ff6153a3f2d747aba89e446c0',1);
INSERT INTO "artifact" VALUES(2,'8adbb7dad603d7726f86ac4317a45b438ff14e186fc44ac5f58804010150b21e',0,1,0,'strips/136eee3d7f4bd7ea/8a/8adbb7dad603d7726f86ac4317a45b438ff14e186fc44ac5f58804010150b21e-0-0-2ac212360a0b5d11.png',1782,'2ac212360a0b5d1193f6da4d0768c202dd5c0cac16d9202731fa8546c71a5aaa',1);
INSERT INTO "artifact" VALUES(3,'49b14726eccca0afa207c4e7270813b904305956ab05a1535de8f87a08b2ec95',0,1,0,'strips/136eee3d7f4bd7ea/49/49b14726eccca0afa207c4e7270813b904305956ab05a1535de8f87a08b2ec95-0-0-a79811230409cd48.png',1803,'a79811230409cd48e9ce3fcb45574f5f75e5ab2d83e1dd125f45e96ce028d9a2',1);
INSERT INTO "artifact" VALUES(4,'7fe4f0f2d8cb01a24ad0d4868e66458710b2ee23e7656f6fc9325d5b0401bdae',0,1,0,'strips/136eee3d7f4bd7ea/7f/7fe4f0f2d8cb01a24ad0d4868e66458710b2ee23e7656f6fc9325d5b0401bdae-0-0-2b42791712740ab7.png',1811,'2b42791712740ab79acda81e11b0405b72455eb71220905efa8c69c33475abb3',1);
INSERT INTO "artifact" VALUES(5,'efccf1283791df4f39647560f36f49367f553d993b3714739365b320797348d1',0,1,0,'strips/136eee3d7f4bd7ea/ef/efccf1283791df4f39647560f36f49367f553d993b3714739365b320797348d1-0-0-91cc0a74739d8994.png',1833,'91cc0a74739d8994b70a3105fd9f6d106d6ca38681ff36caf010d49517143d04',1);
INSERT INTO "artifact" VALUES(6,'298e79672d8aab39e2bad1b567bbe48da69c792af82b655653d0c5daaa8f5ca1',0,1,0,'strips/136eee3d7f4bd7ea/29/298e79672d8aab39e2bad1b567bbe48da69c792af82b655653d0c5daaa8f5ca1-0-0-5093a561720306d1.png',1818,'5093a561720306d13e3799bc423f81288ce6eb041a9dc240b33d72f01fca2046',1);
INSERT INTO "artifact" VALUES(7,'70485e911708f164e56c98585b24fe51b097f20894ef445a33638dc473ed7c8a',0,1,0,'strips/136eee3d7f4bd7ea/70/70485e911708f164e56c98585b24fe51b097f20894ef445a33638dc473ed7c8a-0-0-62cf4b42be41cfb3.png',1938,'62cf4b42be41cfb32d65477c60aba647356c9b0d2bf7d520bd4d526a12b5bf9d',1);
INSERT INTO "artifact" VALUES(8,'2f6d72def59472265ad7bebedea6ade586a3bebd03a21f05f5bcdd994ed309f1',0,1,0,'strips/136eee3d7f4bd7ea/2f/2f6d72def59472265ad7bebedea6ade586a3bebd03a21f05f5bcdd994ed309f1-0-0-5b702619e49ed37c.png',1945,'5b702619e49ed37ca7db214b04fee66481b5531a9cf08644d0f5e09f7c44a256',1);
INSERT INTO "artifact" VALUES(9,'8a942ce459d36ebd60ea488e189ede54322c482a916b387cd75ee88d43c4d817',0,1,0,'strips/136eee3d7f4bd7ea/8a/8a942ce459d36ebd60ea488e189ede54322c482a916b387cd75ee88d43c4d817-0-0-b9813eb6c1c2e1a7.png',1932,'b9813eb6c1c2e1a7a854e6a1d6f8ea81d3ec886c0380f5453aa15742277e65d6',1);
INSERT INTO "artifact" VALUES(10,'6231b1d6cf313cf8281078d1abcfdd07db9b23f8501d8c12776fef88e4c16918',0,1,0,'strips/136eee3d7f4bd7ea/62/6231b1d6cf313cf8281078d1abcfdd07db9b23f8501d8c12776fef88e4c16918-0-0-aa22d62a12931b11.png',1940,'aa22d62a12931b11c4caea1584ac099be84585a1abcd58deb88fd6dbf425e4cb',1);
INSERT INTO "artifact" VALUES(11,'a9ce79bd81d766d344b2b53e32f8ddf0650bd175b903046f4c0b8109c8bfe32d',0,1,0,'strips/136eee3d7f4bd7ea/a9/a9ce79bd81d766d344b2b53e32f8ddf0650bd175b903046f4c0b8109c8bfe32d-0-0-fcf366ab8465391b.png',1937,'fcf366ab8465391b9b8b9d0755d25e125ba6be158fe21f126609f36a97ac274f',1);
INSERT INTO "artifact" VALUES(12,'4d05114856b8c649af8f12e11fe548aedb7f1df4448b1c401534461bceeb54a0',0,1,0,'strips/136eee3d7f4bd7ea/4d/4d05114856b8c649af8f12e11fe548aedb7f1df4448b1c401534461bceeb54a0-0-0-918cfc5f8ff26a34.png',1907,'918cfc5f8ff26a345ff28d310aba69b4d7935798545e4620e63092047121f664',1);
CREATE TABLE bad_row (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	line INTEGER NOT NULL, 
	uri TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	is_duplicate BOOLEAN NOT NULL, 
	CONSTRAINT pk_bad_row PRIMARY KEY (id), 
	CONSTRAINT fk_bad_row_run_id FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
CREATE TABLE dataset (
	id INTEGER NOT NULL, 
	root TEXT NOT NULL, 
	layout VARCHAR(60) NOT NULL, 
	CONSTRAINT pk_dataset PRIMARY KEY (id), 
	CONSTRAINT uq_dataset_root UNIQUE (root)
);
INSERT INTO "dataset" VALUES(1,'@ROOT@/birds','folder per class');
CREATE TABLE item (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	recording_id INTEGER NOT NULL, 
	pipeline_id INTEGER NOT NULL, 
	span INTEGER NOT NULL, 
	copy INTEGER NOT NULL, 
	fold SMALLINT NOT NULL, 
	side SMALLINT NOT NULL, 
	group_name TEXT NOT NULL, 
	order_key BIGINT NOT NULL, 
	work_s DOUBLE NOT NULL, 
	worked_s DOUBLE, 
	is_alone BOOLEAN NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	attempts INTEGER NOT NULL, 
	own_deaths INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	faults INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	lease_until DOUBLE, 
	retry_at DOUBLE, 
	sent_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	worker TEXT, 
	reason TEXT, process INTEGER, 
	CONSTRAINT pk_item PRIMARY KEY (id), 
	CONSTRAINT fk_item_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipeline (id), 
	CONSTRAINT fk_item_recording_id FOREIGN KEY(recording_id) REFERENCES recording (id), 
	CONSTRAINT fk_item_run_id FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	CONSTRAINT uq_item_run_id_recording_id_pipeline_id_span_copy UNIQUE (run_id, recording_id, pipeline_id, span, copy)
);
INSERT INTO "item" VALUES(1,1,1,1,0,0,-1,2,'c9875aee956f3f035cf10e9d091a0baa',-2926901021273615450,0.039,3.06634299704455770552e-03,0,'quarantined',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm','unsupported format: broken.wav is in no format libsndfile decodes: Format not recognised.',14262);
INSERT INTO "item" VALUES(2,1,2,1,0,0,-1,0,'e6b3292a3670f73c94c795176e954f26',-4709491283983048052,0.0042,1.5523910999036161229e-02,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(3,1,3,1,0,0,-1,0,'8adbb7dad603d7726f86ac4317a45b43',-4461390346166062776,0.0042,1.55188710014044772833e-02,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(4,1,4,1,0,0,-1,0,'49b14726eccca0afa207c4e7270813b9',8178897424407440842,0.0042,1.21300450009584892541e-02,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(5,1,5,1,0,0,-1,1,'7fe4f0f2d8cb01a24ad0d4868e664587',76876203276975813,0.0042,1.27247899981739465147e-02,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(6,1,6,1,0,0,-1,0,'efccf1283791df4f39647560f36f4936',-2725796911246289586,0.0042,8.40601199888624250888e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(7,1,7,1,0,0,-1,0,'298e79672d8aab39e2bad1b567bbe48d',4674415003012916664,0.0042,9.21325300078024156391e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(8,1,8,1,0,0,-1,2,'70485e911708f164e56c98585b24fe51',-7764345831408052777,0.0042,1.02751419981359504163e-02,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(9,1,9,1,0,0,-1,0,'2f6d72def59472265ad7bebedea6ade5',-1544257107690132801,0.0042,8.61226800043368712067e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(10,1,10,1,0,0,-1,0,'8a942ce459d36ebd60ea488e189ede54',4616416117817457139,0.0042,8.76877100017736665904e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(11,1,11,1,0,0,-1,0,'6231b1d6cf313cf8281078d1abcfdd07',-8089977203406588419,0.0042,8.17383699904894456267e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(12,1,12,1,0,0,-1,0,'a9ce79bd81d766d344b2b53e32f8ddf0',-2003516113247686783,0.0042,8.28034599908278323709e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(13,1,13,1,0,0,-1,1,'4d05114856b8c649af8f12e11fe548ae',-5299412598063524943,0.0042,7.33348300127545371651e-03,0,'done',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm',NULL,14262);
INSERT INTO "item" VALUES(14,1,14,1,0,0,-1,0,'a96a31ce941eb95d1b376e5ac9ae81cd',-3526710449780576108,0.0042,3.08049800150911323726e-03,0,'quarantined',1,0,0,0,1,NULL,NULL,1.79603294591599249837e+09,1.7960329745959818363e+09,1.79603297476001238825e+09,'cpu-13785@vm','silent: night.wav holds nothing but zeros; a recording needs -80 dBFS at least',14262);
INSERT INTO "item" VALUES(15,2,1,1,0,0,0,0,'c9875aee956f3f035cf10e9d091a0baa',2910455912649291564,0.039,NULL,0,'quarantined',0,0,0,0,0,NULL,NULL,NULL,NULL,1.7960331347720191479e+09,NULL,'unsupported format: broken.wav is in no format libsndfile decodes: Format not recognised.',NULL);
INSERT INTO "item" VALUES(16,2,2,1,0,0,0,0,'e6b3292a3670f73c94c795176e954f26',8542313332918595213,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(17,2,3,1,0,0,0,1,'8adbb7dad603d7726f86ac4317a45b43',-8444714410502473323,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(18,2,4,1,0,0,1,0,'49b14726eccca0afa207c4e7270813b9',8167722163169231259,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(19,2,5,1,0,0,1,0,'7fe4f0f2d8cb01a24ad0d4868e664587',3320664504946979645,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(20,2,6,1,0,0,1,0,'efccf1283791df4f39647560f36f4936',6469150642326472811,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(21,2,7,1,0,0,0,0,'298e79672d8aab39e2bad1b567bbe48d',660318396715729093,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(22,2,8,1,0,0,0,0,'70485e911708f164e56c98585b24fe51',754096673419791061,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(23,2,9,1,0,0,1,0,'2f6d72def59472265ad7bebedea6ade5',5417416193041768928,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(24,2,10,1,0,0,1,0,'8a942ce459d36ebd60ea488e189ede54',7380111818219753448,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(25,2,11,1,0,0,1,0,'6231b1d6cf313cf8281078d1abcfdd07',-3321642614527895184,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(26,2,12,1,0,0,0,0,'a9ce79bd81d766d344b2b53e32f8ddf0',1395767563264585253,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(27,2,13,1,0,0,1,1,'4d05114856b8c649af8f12e11fe548ae',-6224602504953662911,0.0042,NULL,0,'done',0,0,0,0,0,NULL,NULL,NULL,NULL,1.79603313475500059133e+09,NULL,NULL,NULL);
INSERT INTO "item" VALUES(28,2,14,1,0,0,0,1,'a96a31ce941eb95d1b376e5ac9ae81cd',1961694225517674552,0.0042,NULL,0,'quarantined',0,0,0,0,0,NULL,NULL,NULL,NULL,1.7960331347720191479e+09,NULL,'silent: night.wav holds nothing but zeros; a recording needs -80 dBFS at least',NULL);
CREATE TABLE job (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	kind VARCHAR(12) NOT NULL, 
	model VARCHAR(60), 
	seed INTEGER, 
	fold INTEGER, 
	side SMALLINT, 
	device TEXT, 
	result JSON NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	attempts INTEGER NOT NULL, 
	own_deaths INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	faults INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	lease_until DOUBLE, 
	retry_at DOUBLE, 
	sent_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	worker TEXT, 
	reason TEXT, pipeline_id INTEGER CONSTRAINT fk_job_pipeline_id REFERENCES pipeline (id), variant VARCHAR(60), process INTEGER, 
	CONSTRAINT pk_job PRIMARY KEY (id), 
	CONSTRAINT fk_job_run_id FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "job" VALUES(1,1,'pack',NULL,NULL,-1,0,NULL,'{"key": "shards/118f5f737fef021f54442fa9ad1ca0b2", "shards": ["shards/118f5f737fef021f54442fa9ad1ca0b2/00000.parquet"], "sha256": ["c957b3dabe269de7b2a2a733bbbfd424dc186561236fe4c8a92ff503a2759afc"], "n_examples": 9, "label_counts": {"0": 5, "1": 4}, "index_sha256": "04b6eefab5290087bdc3df163cc24fcc6e4683b8a9a6152b5d97355cc8264a18"}','done',1,0,0,0,1,NULL,NULL,1.79603297484100151064e+09,1.79603297487701034544e+09,1.79603298262800431246e+09,'cpu-13785@vm',NULL,1,NULL,14262);
INSERT INTO "job" VALUES(2,1,'pack',NULL,NULL,-1,1,NULL,'{"key": "shards/ca692d35501fec1b1ebe940420038ca7", "shards": ["shards/ca692d35501fec1b1ebe940420038ca7/00000.parquet"], "sha256": ["5fbb37a2c2c90e2032fc9ac611b52988d4634bec8f6ff2cc8e0cc632a8519ef3"], "n_examples": 2, "label_counts": {"0": 1, "1": 1}, "index_sha256": "2a75fcd670dc6f54727fe0d91f9d0c9f3f64f19e31b002796bd2c20acb318169"}','done',1,0,0,0,1,NULL,NULL,1.79603297484100151064e+09,1.7960329750290110111e+09,1.79603298311900949485e+09,'cpu-13785@vm',NULL,1,NULL,14261);
INSERT INTO "job" VALUES(3,1,'pack',NULL,NULL,-1,2,NULL,'{"key": "shards/b2ee424d70c1ce0d7639fa6327e9113c", "shards": ["shards/b2ee424d70c1ce0d7639fa6327e9113c/00000.parquet"], "sha256": ["6d1bf93e492110885f94a82cb3e1766b8e42133b59375469ce737b7cd4ca453d"], "n_examples": 1, "label_counts": {"1": 1}, "index_sha256": "de87610002bc525059380bbde7dbe00b29d9891fa87fa46e2ec1b60d81189781"}','done',1,0,0,0,1,NULL,NULL,1.79603297484100151064e+09,1.7960329826539947987e+09,1.79603298272798347478e+09,'cpu-13785@vm',NULL,1,NULL,14262);
INSERT INTO "job" VALUES(4,1,'train','mlp',0,-1,NULL,'CPU','{"key": "models/e66e6ff40ec94180b51362e85853ad06/mlp-6a0eb4712eebc39d.keras", "sha256": "6a0eb4712eebc39de34aa5a2517fe18a21a190e08ef7bf418ab7231218d7ee8e", "label_counts": {"0": 5, "1": 4}, "features": "audio", "best_epoch": 2, "device": "CPU", "images_per_s": 73.71535332446074, "epoch_s": 0.2408083219997934, "peak_rss_bytes": 878583808, "parameters": 9474, "trainable_parameters": 9474, "notes": ["batches of 8 instead of 32: there are only 9 training examples"]}','done',1,0,0,0,1,NULL,NULL,1.79603298345399045943e+09,1.79603301923701906203e+09,1.79603304325499391557e+09,'gpu-13785@vm',NULL,1,NULL,14734);
INSERT INTO "job" VALUES(5,1,'evaluate','mlp',0,-1,NULL,'CPU','{"key": "evaluations/b16547d33cb1b67af3205cfb29f89681.json", "outcomes_key": "evaluations/a5eba7675bc52e2cdd3da578469abc32.parquet", "device": "CPU", "accuracy": 1.0, "macro_f1": 1.0, "by_recording_accuracy": 1.0, "by_recording_macro_f1": 1.0, "majority_accuracy": 0.0, "chance_accuracy": 0.4444444444444444, "calibration_error": 0.418033659458, "n_chunks": 1.0, "n_recordings": 1.0}','done',1,0,0,0,1,NULL,NULL,1.7960330433219819069e+09,1.79603304441600131993e+09,1.79603309258001303666e+09,'gpu-13785@vm',NULL,1,NULL,14707);
INSERT INTO "job" VALUES(6,1,'render',NULL,NULL,NULL,NULL,NULL,'{"key": "reports/c56544f1c98511e1/run-1.html"}','done',1,0,0,0,1,NULL,NULL,1.79603309284398269651e+09,1.7960330928739964962e+09,1.79603310145898318293e+09,'cpu-13785@vm',NULL,1,NULL,14262);
INSERT INTO "job" VALUES(7,2,'pack',NULL,NULL,0,0,NULL,'{}','waiting',0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "job" VALUES(8,2,'pack',NULL,NULL,0,1,NULL,'{}','waiting',0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "job" VALUES(9,2,'pack',NULL,NULL,1,0,NULL,'{}','waiting',0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "job" VALUES(10,2,'pack',NULL,NULL,1,1,NULL,'{}','waiting',0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
CREATE TABLE metric (
	job_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	name VARCHAR(60) NOT NULL, 
	value DOUBLE NOT NULL, 
	CONSTRAINT pk_metric PRIMARY KEY (job_id, epoch, name), 
	CONSTRAINT fk_metric_job_id FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);
INSERT INTO "metric" VALUES(4,1,'accuracy',5.55555582046508789062e-01);
INSERT INTO "metric" VALUES(4,1,'loss',7.39840269088745117187e-01);
INSERT INTO "metric" VALUES(4,1,'val_accuracy',0.5);
INSERT INTO "metric" VALUES(4,1,'val_loss',6.352939605712890625e-01);
INSERT INTO "metric" VALUES(4,1,'learning_rate',0.001);
INSERT INTO "metric" VALUES(4,2,'accuracy',7.77777791023254394531e-01);
INSERT INTO "metric" VALUES(4,2,'loss',5.76602756977081298828e-01);
INSERT INTO "metric" VALUES(4,2,'val_accuracy',1.0);
INSERT INTO "metric" VALUES(4,2,'val_loss',5.69349646568298339843e-01);
INSERT INTO "metric" VALUES(4,2,'learning_rate',0.001);
INSERT INTO "metric" VALUES(5,0,'accuracy',1.0);
INSERT INTO "metric" VALUES(5,0,'macro_f1',1.0);
INSERT INTO "metric" VALUES(5,0,'by_recording_accuracy',1.0);
INSERT INTO "metric" VALUES(5,0,'by_recording_macro_f1',1.0);
INSERT INTO "metric" VALUES(5,0,'majority_accuracy',0.0);
INSERT INTO "metric" VALUES(5,0,'chance_accuracy',4.44444444444444419772e-01);
INSERT INTO "metric" VALUES(5,0,'calibration_error',0.418033659458);
INSERT INTO "metric" VALUES(5,0,'n_chunks',1.0);
INSERT INTO "metric" VALUES(5,0,'n_recordings',1.0);
CREATE TABLE need (
	job_id INTEGER NOT NULL, 
	needs_id INTEGER NOT NULL, 
	even_failed BOOLEAN NOT NULL, 
	CONSTRAINT pk_need PRIMARY KEY (job_id, needs_id), 
	CONSTRAINT fk_need_job_id FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE, 
	CONSTRAINT fk_need_needs_id FOREIGN KEY(needs_id) REFERENCES job (id) ON DELETE CASCADE
);
INSERT INTO "need" VALUES(4,1,0);
INSERT INTO "need" VALUES(4,2,0);
INSERT INTO "need" VALUES(5,4,0);
INSERT INTO "need" VALUES(5,3,0);
INSERT INTO "need" VALUES(6,1,1);
INSERT INTO "need" VALUES(6,2,1);
INSERT INTO "need" VALUES(6,3,1);
INSERT INTO "need" VALUES(6,4,1);
INSERT INTO "need" VALUES(6,5,1);
CREATE TABLE pipeline (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	name VARCHAR(60) NOT NULL, 
	parameters JSON NOT NULL, 
	CONSTRAINT pk_pipeline PRIMARY KEY (id), 
	CONSTRAINT uq_pipeline_digest UNIQUE (digest)
);
INSERT INTO "pipeline" VALUES(1,'136eee3d7f4bd7eacd80d147ed9b55527bd87105ce8dfe395c36c12babdc4f9f','birdclef2021','{"name": "birdclef2021", "decode": {"rate_hz": 32000, "span_s": 75, "lowest_rate_hz": 1000, "highest_rate_hz": 500000, "most_channels": 16}, "gate": {"shortest_s": 0.1, "silence_dbfs": -80.0}, "denoise": {"method": "non-stationary", "n_fft": 1024, "time_constant_s": 2.0, "threshold": 2.0, "slope": 10.0, "smooth_hz": 500.0, "smooth_ms": 50.0, "block_samples": 600000, "context_samples": 30000}, "chunk": {"duration_s": 5.0, "shortest_tail_s": 2.5}, "mel": {"n_fft": 1024, "hop_samples": 1259, "n_mels": 48, "fmin_hz": 500.0, "fmax_hz": 12500.0, "top_db": 80.0}, "features": {"n_fft": 1024, "hop_samples": 512, "magnitude_floor": 0.0001, "zero_crossing_threshold": 1e-06}, "augment": {"copies": 0, "gain_db": 6.0, "shift_s": 1.0, "lowest_snr_db": 12.0, "highest_snr_db": 40.0, "mask_s": 0.5, "equaliser_db": 6.0}}');
CREATE TABLE recording (
	id INTEGER NOT NULL, 
	dataset_id INTEGER NOT NULL, 
	uri TEXT NOT NULL, 
	label TEXT NOT NULL, 
	author TEXT, 
	group_name TEXT, 
	official_fold INTEGER, 
	official_split VARCHAR(20), 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	n_frames BIGINT NOT NULL, 
	rate_hz INTEGER NOT NULL, 
	facts_digest VARCHAR(32) NOT NULL, is_on_trust BOOLEAN DEFAULT 0 NOT NULL, latitude DOUBLE, longitude DOUBLE, hour DOUBLE, month SMALLINT, 
	CONSTRAINT pk_recording PRIMARY KEY (id), 
	CONSTRAINT fk_recording_dataset_id FOREIGN KEY(dataset_id) REFERENCES dataset (id), 
	CONSTRAINT uq_recording_dataset_id_uri_facts_digest UNIQUE (dataset_id, uri, facts_digest)
);
INSERT INTO "recording" VALUES(1,1,'high/broken.wav','high',NULL,NULL,NULL,NULL,8,1796032902048063018,'c9875aee956f3f035cf10e9d091a0baaa02f9f7938368db4835ed4a7d7eb9f82',0,0,'56bb30d24eff0230b3eb586f4ddec3c9',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(2,1,'high/high-0.wav','high',NULL,NULL,NULL,NULL,64044,1796032902039412859,'e6b3292a3670f73c94c795176e954f26fd140df0d6dd216b1926b83a23ee3e91',32000,32000,'bcb4fededb95e7f7b9aae16ca5db2d0f',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(3,1,'high/high-1.wav','high',NULL,NULL,NULL,NULL,64044,1796032902040234377,'8adbb7dad603d7726f86ac4317a45b438ff14e186fc44ac5f58804010150b21e',32000,32000,'5ce243b326100a8479c886550ad16561',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(4,1,'high/high-2.wav','high',NULL,NULL,NULL,NULL,64044,1796032902040929699,'49b14726eccca0afa207c4e7270813b904305956ab05a1535de8f87a08b2ec95',32000,32000,'e8b624dccfbd6529a0ed6ce13732c9c0',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(5,1,'high/high-3.wav','high',NULL,NULL,NULL,NULL,64044,1796032902041639969,'7fe4f0f2d8cb01a24ad0d4868e66458710b2ee23e7656f6fc9325d5b0401bdae',32000,32000,'4cdb0046931741fa189bea2b8e453eab',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(6,1,'high/high-4.wav','high',NULL,NULL,NULL,NULL,64044,1796032902042528724,'efccf1283791df4f39647560f36f49367f553d993b3714739365b320797348d1',32000,32000,'6c4e689259f027564d4ef0a627d0fb5a',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(7,1,'high/high-5.wav','high',NULL,NULL,NULL,NULL,64044,1796032902043260985,'298e79672d8aab39e2bad1b567bbe48da69c792af82b655653d0c5daaa8f5ca1',32000,32000,'4b1028905da9acafa306f2112291b4c6',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(8,1,'low/low-0.wav','low',NULL,NULL,NULL,NULL,64044,1796032902044030025,'70485e911708f164e56c98585b24fe51b097f20894ef445a33638dc473ed7c8a',32000,32000,'a810e66aced7ff83b42aea600ee4b431',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(9,1,'low/low-1.wav','low',NULL,NULL,NULL,NULL,64044,1796032902044767075,'2f6d72def59472265ad7bebedea6ade586a3bebd03a21f05f5bcdd994ed309f1',32000,32000,'1d5d48dc4c0d9df4ab598cb8fff7fd04',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(10,1,'low/low-2.wav','low',NULL,NULL,NULL,NULL,64044,1796032902045490701,'8a942ce459d36ebd60ea488e189ede54322c482a916b387cd75ee88d43c4d817',32000,32000,'304606ed6233db0003c13e6ffb0ce384',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(11,1,'low/low-3.wav','low',NULL,NULL,NULL,NULL,64044,1796032902046289456,'6231b1d6cf313cf8281078d1abcfdd07db9b23f8501d8c12776fef88e4c16918',32000,32000,'8f120379d2fa9efa42852a9532d251ef',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(12,1,'low/low-4.wav','low',NULL,NULL,NULL,NULL,64044,1796032902047040363,'a9ce79bd81d766d344b2b53e32f8ddf0650bd175b903046f4c0b8109c8bfe32d',32000,32000,'87de6a31d978767d933155652696c605',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(13,1,'low/low-5.wav','low',NULL,NULL,NULL,NULL,64044,1796032902047725415,'4d05114856b8c649af8f12e11fe548aedb7f1df4448b1c401534461bceeb54a0',32000,32000,'24b280e9db2450fc0a16a6aa55f2e7b9',0,NULL,NULL,NULL,NULL);
INSERT INTO "recording" VALUES(14,1,'low/night.wav','low',NULL,NULL,NULL,NULL,64044,1796032902047924708,'a96a31ce941eb95d1b376e5ac9ae81cdd9aa2b9bc81bc8f427c78c45a1f1ea2c',32000,32000,'222659b0dc48d6312c604a98331c67a6',0,NULL,NULL,NULL,NULL);
CREATE TABLE run (
	id INTEGER NOT NULL, 
	dataset_id INTEGER NOT NULL, 
	pipeline_id INTEGER NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	labels JSON NOT NULL, 
	options JSON NOT NULL, 
	split JSON NOT NULL, 
	facts JSON NOT NULL, 
	created_at DOUBLE NOT NULL, 
	finished_at DOUBLE, 
	CONSTRAINT pk_run PRIMARY KEY (id), 
	CONSTRAINT fk_run_dataset_id FOREIGN KEY(dataset_id) REFERENCES dataset (id), 
	CONSTRAINT fk_run_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipeline (id)
);
INSERT INTO "run" VALUES(1,1,1,'done','["high", "low"]','{"models": ["mlp"], "seeds": [0], "n_folds": null, "split_seed": 0, "until": "all", "preset": null, "training": {"epochs": 2}, "trust_csv": false, "leak_meter": false, "ablate": [], "device": "auto", "features": "audio", "path": "@ROOT@/birds"}','{"digest": "17949973856636983cbacf5175ed021a2f4e9fce6fb3bc6ffbe1ba5fa4aedd82", "method": "train, valid and test drawn by group with seed 0", "seed": 0, "notes": [], "folds": [], "leaks": 0, "counts": {"train": 10, "valid": 2, "test": 2}, "groups": 14}','{"recordings": 14, "items": 14, "summary": {"recordings": 14, "unread": 0, "unmeasured": 1, "bytes": 832580, "duration_s": 13.0, "groups": 14, "classes": {"high": 7, "low": 7}, "folds": {}, "splits": {}, "bad_rows": {}, "known": {}, "unclear_cells": {}}, "layout_notes": [], "versions": {"python": "3.11.7", "dawn-chorus": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1", "librosa": "0.11.0", "soundfile": "0.14.0", "soxr": "0.5.0.post1", "noisereduce": "3.0.3", "audiomentations": "0.43.1", "pillow": "13.0.0", "pyarrow": "26.0.1", "scikit-learn": "1.9.1", "keras": "3.15.1", "tensorflow-cpu": "2.21.0", "celery": "5.7.0", "sqlalchemy": "2.1.9"}, "not_done": []}',1.79603294290100193027e+09,1.79603310152098226545e+09);
INSERT INTO "run" VALUES(2,1,1,'active','["high", "low"]','{"models": ["cnn"], "seeds": [0], "n_folds": 2, "split_seed": 0, "until": "pack", "preset": null, "training": {}, "trust_csv": false, "leak_meter": false, "ablate": [], "device": "auto", "features": "audio", "path": "@ROOT@/birds"}','{"digest": "fa761842ac22da3f7d30ca6e8dd4f1c94e6d52397a7e722f99b230b6fa90d205", "method": "2 folds drawn by group with seed 0", "seed": 0, "notes": [], "folds": [0, 1], "leaks": 0, "counts": {"fold 0": 7, "fold 1": 7}, "groups": 14}','{"recordings": 14, "items": 14, "summary": {"recordings": 14, "unread": 0, "unmeasured": 1, "bytes": 832580, "duration_s": 13.0, "groups": 14, "classes": {"high": 7, "low": 7}, "folds": {}, "splits": {}, "bad_rows": {}, "known": {}, "unclear_cells": {}}, "layout_notes": [], "versions": {"python": "3.11.7", "dawn-chorus": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1", "librosa": "0.11.0", "soundfile": "0.14.0", "soxr": "0.5.0.post1", "noisereduce": "3.0.3", "audiomentations": "0.43.1", "pillow": "13.0.0", "pyarrow": "26.0.1", "scikit-learn": "1.9.1", "keras": "3.15.1", "tensorflow-cpu": "2.21.0", "celery": "5.7.0", "sqlalchemy": "2.1.9"}, "not_done": []}',1.79603313413798522952e+09,NULL);
CREATE TABLE tally (
	run_id INTEGER NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	slot SMALLINT NOT NULL, 
	n BIGINT NOT NULL, 
	CONSTRAINT pk_tally PRIMARY KEY (run_id, state, slot), 
	CONSTRAINT fk_tally_run_id FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "tally" VALUES(1,'waiting',0,0);
INSERT INTO "tally" VALUES(1,'sent',0,0);
INSERT INTO "tally" VALUES(1,'running',0,0);
INSERT INTO "tally" VALUES(1,'attempts',0,20);
INSERT INTO "tally" VALUES(1,'done',0,12);
INSERT INTO "tally" VALUES(1,'quarantined',0,2);
INSERT INTO "tally" VALUES(2,'done',0,12);
INSERT INTO "tally" VALUES(2,'quarantined',0,2);
CREATE TABLE worker (
	name VARCHAR(200) NOT NULL, 
	host VARCHAR(200) NOT NULL, 
	role VARCHAR(8) NOT NULL, 
	device TEXT NOT NULL, 
	started_at DOUBLE NOT NULL, 
	progressed_at DOUBLE NOT NULL, 
	CONSTRAINT pk_worker PRIMARY KEY (name)
);
INSERT INTO "worker" VALUES('cpu-13785@vm','vm','cpu','CPU, 2 at a time',1.79603297452899360658e+09,1.79603310146099472048e+09);
INSERT INTO "worker" VALUES('gpu-13785@vm','vm','gpu','CPU, 2 at a time',1.79603299400899267196e+09,1.79603309257200670235e+09);
CREATE INDEX ix_recording_digest ON recording (digest);
CREATE INDEX ix_bad_row_run_id ON bad_row (run_id);
CREATE INDEX ix_item_lease ON item (lease_until) WHERE state = 'running';
CREATE INDEX ix_item_recording_id ON item (recording_id);
CREATE INDEX ix_item_run_id_pipeline_id_fold_side_order_key ON item (run_id, pipeline_id, fold, side, order_key);
CREATE INDEX ix_item_run_id_state_id ON item (run_id, state, id);
CREATE INDEX ix_job_run_id ON job (run_id);
COMMIT;
